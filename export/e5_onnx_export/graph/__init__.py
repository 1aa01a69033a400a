"""The packed graph, authored node by node: one file a block. docs/graph.md draws it."""
