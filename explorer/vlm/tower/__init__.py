"""How a vision tower is run beside `Tower.run`: view by view, or again with fewer patches."""
