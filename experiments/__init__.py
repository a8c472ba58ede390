"""Experiments: each assembles what metabone provides, and launches it."""
