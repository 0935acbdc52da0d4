"""Runs a vision-language model: the tower, then the language model, layer by layer.

The only package that runs a model. Knows tensors, positions and caches; not which method chooses
the tokens, nor what the words mean.
"""
