"""Methods that score by attention of the vision tower, or by what explains an answer."""
