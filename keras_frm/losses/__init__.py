"""Losses for dense prediction with an ignore label."""
