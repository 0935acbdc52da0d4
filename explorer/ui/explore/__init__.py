"""The tab "Explore": inputs, the picture with its scores, the answers."""
