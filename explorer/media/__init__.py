"""Pictures and videos as arrays: the guards that open them, and where on them a token lies.

Knows numpy, Pillow and OpenCV; not models.
"""
