"""How an Embedder is to be opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from e5_onnx.errors import OptionError
from e5_onnx.inference.exact_int8 import ExactInt8
from e5_onnx.tokens.overflow import check_policy
from e5_onnx.tokens.tokenization import OverflowPolicy, TokenizerChoice

Mode = Literal["auto", "latency", "throughput"]


@dataclass(frozen=True, slots=True)
class Options:
    """Embedder's keyword arguments, checked; `Embedder` documents them.

    Raises:
        OptionError: For a value out of range.
    """

    threads: int | None
    token_budget: int
    overflow: OverflowPolicy
    verify: bool
    fingerprint: str | None
    tokenizer: TokenizerChoice
    exact_int8: ExactInt8
    mode: Mode
    cache_dir: str | os.PathLike[str] | None
    low_memory: bool = False

    def __post_init__(self) -> None:
        if type(self.token_budget) is not int or self.token_budget < 1:
            raise OptionError("token_budget", self.token_budget, "a whole number of at least 1")
        if self.mode not in get_args(Mode):
            raise OptionError("mode", self.mode, f"one of {', '.join(get_args(Mode))}")
        if not isinstance(self.cache_dir, str | os.PathLike | None):
            raise OptionError("cache_dir", self.cache_dir, "a path, or None")
        if self.low_memory and self.cache_dir is not None:
            raise OptionError("cache_dir", self.cache_dir, "None beside low_memory, which packs no weights")
        check_policy(self.overflow, "document")
