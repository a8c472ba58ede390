"""Functional meta-learning in JAX for small medical image sets."""
