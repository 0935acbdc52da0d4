"""The page: layout and wiring only. Nothing imports this package but app.py and its tests."""
