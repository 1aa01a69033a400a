"""A model folder: its files, its manifest, and the checks before anything of it is used."""
