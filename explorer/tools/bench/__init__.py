"""Measures the numbers of the README."""
