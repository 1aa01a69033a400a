"""Pages that show measurements: one file each, no network, light and dark."""
