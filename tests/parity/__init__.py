"""Runners that compare a method with the recorded outputs of its authors' code."""
