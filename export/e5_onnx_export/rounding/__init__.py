"""Weights to 8 and 4 bits, with error compensation."""
