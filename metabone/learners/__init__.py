"""Meta-learners and their baselines, as pure functions."""
