"""Bulk runs, measured: their rate beside the graph's own, their memory, kills, a cluster."""
