"""Operators that could do the attention of the graph, beside each other."""
