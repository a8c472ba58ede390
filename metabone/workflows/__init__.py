"""What experiments, the command `metabone` and a user's script call, in a few lines each."""
