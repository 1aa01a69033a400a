"""Model cards: what a folder's README.md says."""
