"""The root of every error that e5-onnx raises on purpose, and the leaves directly below it."""

from __future__ import annotations

from pathlib import Path


class E5Error(Exception):
    """Root of every error that e5-onnx raises on purpose."""

    # A leaf that is also an OSError would print its errno fields, which are not set.
    __str__ = Exception.__str__

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own would call the class with the message, where leaves take the values it is made of.
        return _restore, (type(self), self.args, vars(self))


class ClosedError(E5Error, RuntimeError):
    def __init__(self) -> None:
        super().__init__("this Embedder was closed: open a new one")


class ForkedError(E5Error, RuntimeError):
    def __init__(self, opened_in: int, used_in: int) -> None:
        self.opened_in, self.used_in = opened_in, used_in
        super().__init__(
            f"this Embedder was opened in process {opened_in} and used in its fork {used_in}, where its "
            "threads do not exist: open the Embedder after the fork, or start workers with 'spawn'"
        )


class UnsafeCacheError(E5Error, PermissionError):
    def __init__(self, place: Path, reason: str, remedy: str) -> None:
        self.place, self.reason, self.remedy = place, reason, remedy
        super().__init__(f"{place} {reason}, so no weights are cached there: {remedy}")


class InferenceError(E5Error, RuntimeError):
    def __init__(self, reason: str, *, batch: int, tokens: int) -> None:
        self.reason, self.batch, self.tokens = reason, batch, tokens
        super().__init__(f"onnxruntime failed on a batch of {batch} texts, {tokens} tokens long: {reason}")


class MissingExtraError(E5Error, ImportError):
    def __init__(self, extra: str, module: str) -> None:
        self.extra, self.module = extra, module
        super().__init__(f"{module} is not installed: `pip install 'e5-onnx[{extra}]'`")


def _restore(kind: type[E5Error], args: tuple[object, ...], values: dict[str, object]) -> E5Error:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(values)
    return error
