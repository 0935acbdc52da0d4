"""What can be asked of a case: the public use cases, one function each.

Knows cases, methods and metrics; not pages, sessions or commands.
"""
