"""Commands that fit a setting of a method on sample scenes, as its authors do offline."""
