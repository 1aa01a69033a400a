"""Bulk runs, measured: their rate beside the graph's own, their memory, a cluster."""
