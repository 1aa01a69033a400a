"""The unpadded graph, built node by node: one file a block. docs/graph.md draws it."""
