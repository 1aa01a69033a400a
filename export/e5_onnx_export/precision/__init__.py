"""One module per precision: each writes the graph of a model folder."""
