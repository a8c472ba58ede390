"""The loop, its state on disk, and what it writes."""
