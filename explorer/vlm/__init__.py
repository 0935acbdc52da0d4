"""Vision-language models: which there are, where they load, and how each family is built.

Knows transformers; not methods, questions or pages.
"""
