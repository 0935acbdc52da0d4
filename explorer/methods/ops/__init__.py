"""Steps that several methods share: clustering, merging, sharing a budget over crops."""
