"""Protocols, metrics and the report."""
