"""The recipe of a checkpoint: prompt templates, pooling, length."""
