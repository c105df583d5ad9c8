"""Trained weights that come with the package, each with its licence and its card."""
