"""Finished model folders on the Hugging Face hub: uploaded whole, downloaded whole."""
