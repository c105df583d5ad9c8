"""Interpreters of model files, one a file."""
