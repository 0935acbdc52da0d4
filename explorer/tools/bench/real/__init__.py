"""Models at the true size of their checkpoints, with random weights, and what they take here."""
