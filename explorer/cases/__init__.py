"""A checked picture and question in front of a loaded model, and its answers.

Knows models, methods and results; not what an analysis makes of them, nor pages.
"""
