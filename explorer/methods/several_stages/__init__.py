"""Methods that prune in more than one place: before the language model and inside it."""
