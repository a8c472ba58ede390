"""Films from files that nobody vouches for: what their pixels show, and what may be known of them."""
