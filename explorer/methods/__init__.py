"""The pruning methods, grouped by what their score is computed from.

A method sees `Signals` and answers with indices; it knows no model, picture or page.
"""
