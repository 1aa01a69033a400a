"""The Embedder in the shapes that other libraries ask for: a module a library, each behind its own extra.

Queries and documents are told apart in all of them, and where a store holds metadata, vectors of two models
are kept from being mixed.
"""
