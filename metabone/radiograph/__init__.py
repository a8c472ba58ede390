"""What knows that it looks at a hand."""
