"""Commands over saved cases: recompute them, and say why they fail."""
