"""Texts to token ids: the tokenizers, and what becomes of a text that is too long."""
