"""What pruning does to answers besides saving time, over the built-in scenes: a command."""
