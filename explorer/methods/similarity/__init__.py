"""Methods that score by likeness: of patches to each other, or to the question."""
