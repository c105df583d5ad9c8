"""Convolutions, normalisation and activations that networks are made of."""
