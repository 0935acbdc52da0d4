"""What an answer rests on: reference importance, curves, and which dropped patch broke it."""
