"""See which visual tokens a pruning method keeps, and what that does to a model's answer."""
