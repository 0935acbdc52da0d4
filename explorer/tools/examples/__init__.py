"""The finished examples of the page: how the first is found, and how all are built."""
