"""Comparisons of an export with its reference: tokens, vectors, stored samples."""
