"""Conventional folders, as optimum and sentence-transformers read them."""
