"""Films from files that nobody vouches for: what they show, and what may be known of them."""
