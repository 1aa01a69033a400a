"""Texts from callers, files and streams, and the progress through them."""
