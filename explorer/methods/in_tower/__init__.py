"""Methods that prune inside the vision tower, which runs again for every budget."""
