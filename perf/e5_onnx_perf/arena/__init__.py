"""Whether memory grows with use."""
