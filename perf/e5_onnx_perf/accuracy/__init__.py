"""How well vectors do what they are for."""
