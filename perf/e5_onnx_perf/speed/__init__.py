"""Engines beside each other on the same checkpoint, the same texts and the same threads."""
