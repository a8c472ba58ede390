"""What `metabone` does beside experiments: own films to predictions, and a look at runs."""
