"""Accuracy, speed and memory of model folders, each measured by a command that anyone can run."""

from __future__ import annotations

__all__: list[str] = []
