"""Checkpoints of other code bases into the networks here."""
