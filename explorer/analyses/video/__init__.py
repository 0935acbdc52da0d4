"""Videos: frames, what each is asked, and one budget shared out over them."""
