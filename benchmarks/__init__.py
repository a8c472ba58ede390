"""Comparisons with other libraries, which the project itself does not need."""
