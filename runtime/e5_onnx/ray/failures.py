"""What went wrong on a node, raised here as what it was there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray

from e5_onnx.errors import E5Error


@contextmanager
def raise_own() -> Iterator[None]:
    """Raises the error of this package, or of the system, that one of Ray's wraps; leaves others alone."""
    try:
        yield
    except ray.exceptions.RayError as error:
        own = _own(error)
        if own is None:
            raise
        raise own from error


def _own(error: BaseException | None) -> BaseException | None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, E5Error | OSError) and not isinstance(error, ray.exceptions.RayError):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None
