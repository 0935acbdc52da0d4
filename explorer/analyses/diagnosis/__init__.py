"""Why an answer fails after pruning: one question after the other, and a verdict at the end."""
