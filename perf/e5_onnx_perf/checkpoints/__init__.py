"""Checkpoints to measure on where the real ones cannot be had, or are too kind."""
