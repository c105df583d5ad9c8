"""Rewrites of graphs, one a file: from a Functional model to one of its function."""
