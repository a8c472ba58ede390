"""What a task is, and how one is drawn."""
