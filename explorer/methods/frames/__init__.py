"""Methods that choose among the tokens of a video's frames by what changes from one to another."""
