"""Texts to vectors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Never, Self

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import RoleMissingError, TruncationWarning
from e5_onnx.inference.batching import CHUNK_TEXTS, DEFAULT_PADDED_TOKENS
from e5_onnx.inference.encoded import Encoded
from e5_onnx.inference.engine import Request
from e5_onnx.inference.exact_int8 import ExactInt8
from e5_onnx.inference.lifetime import Lifetime
from e5_onnx.inference.options import Mode, Options
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.folder import folder_path
from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.opening import open_engine
from e5_onnx.recipes import Role
from e5_onnx.text_input.streaming import chunks
from e5_onnx.text_input.texts import TextOrTexts, each_text
from e5_onnx.tokens.tokenization import OverflowPolicy, TokenizerChoice


class Embedder:
    """A model folder, opened for use.

    Thread-safe. Pickles as its path and options. After a fork it raises: open it in the child.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of the caller's
        self,
        folder: str | os.PathLike[str],
        *,
        threads: int | None = None,
        token_budget: int = DEFAULT_PADDED_TOKENS,
        overflow: OverflowPolicy = "warn",
        verify: bool = False,
        fingerprint: str | None = None,
        tokenizer: TokenizerChoice = "auto",
        exact_int8: ExactInt8 = "auto",
        mode: Mode = "auto",
        cache_dir: str | os.PathLike[str] | None = None,
        low_memory: bool = False,
    ) -> None:
        """Opens a folder.

        Args:
            folder: A model folder made by `e5-export`.
            threads: Number of threads of the session; None chooses by CPU affinity and cgroup quota.
            token_budget: Maximum of padded tokens in a batch (texts x longest). Bounds memory, not results.
            overflow: How texts beyond the token limit are treated: `warn` cuts and warns once a call,
                `truncate` cuts, `error` raises before any work, `window` embeds overlapping windows.
            verify: Whether to hash every byte of the weights first, and not only a sample.
            fingerprint: The only one to accept. It implies `verify` and, for `auto`, tokenizer.json.
            tokenizer: `tokenizers`, `tokie`, or `auto`: tokie where it is installed and proved equal.
            exact_int8: Whether to use slower kernels that are exact on CPUs without VNNI; `auto` tries this
                CPU and uses them where the others would give wrong vectors.
            mode: `auto`: all threads work on one batch. `throughput`: each has its own batch, for many texts.
                `latency`: `auto` with spinning threads, for single texts on a machine without other work.
            cache_dir: The folder for prepacked weights that processes share; None is E5_ONNX_CACHE, or none.
            low_memory: Whether weights stay in the mapped file: less private memory, slower. Uses no cache.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
            OptionError: For a value out of range.
            MissingExtraError: If `tokie` is asked for and not installed.
            UnsafeCacheError: If others could write to the cache.
        """
        self._options = Options(
            threads, token_budget, overflow, verify, fingerprint, tokenizer, exact_int8, mode, cache_dir,
            low_memory,
        )  # fmt: skip
        self._path = folder_path(folder)
        self._threads = choose_threads(threads).count
        engine = open_engine(self._path, self._options, self._threads)
        self._manifest, self._tokenizer_name = engine.manifest, engine.tokenizer.name
        self._lifetime = Lifetime(engine)

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._manifest.dimension

    @property
    def max_tokens(self) -> int:
        """Tokens the model takes, template and special tokens included."""
        return self._manifest.max_tokens

    @property
    def manifest(self) -> Manifest:
        """The folder's e5.json."""
        return self._manifest

    @property
    def threads(self) -> int:
        """Threads that compute at most, whatever the mode."""
        return self._threads

    @property
    def fingerprint(self) -> str:
        """Hash of what decides a vector (`Manifest.fingerprint`); store it beside an index."""
        return self._manifest.fingerprint

    @property
    def tokenizer(self) -> str:
        """The tokenizer library in use."""
        return self._tokenizer_name

    def embed_queries(self, texts: TextOrTexts, *, task: str | None = None) -> NDArray[np.float32]:
        """Embeds queries: `encode` with role `query`, vectors only."""
        return self.encode(texts, role="query", task=task).vectors

    def embed_documents(self, texts: TextOrTexts) -> NDArray[np.float32]:
        """Embeds documents: `encode` with role `document`, vectors only."""
        return self.encode(texts, role="document").vectors

    def embed(self, texts: TextOrTexts) -> Never:
        """Refuses, since nothing says what the texts are: the error names the methods that do."""
        raise RoleMissingError("embed")

    def encode(
        self,
        texts: TextOrTexts,
        *,
        role: Role,
        task: str | None = None,
        overflow: OverflowPolicy | None = None,
    ) -> Encoded:
        """Embeds texts. Every other method calls this one.

        Args:
            texts: One text, or any iterable of texts: a list, a generator, a column of pandas or Arrow. It is
                read once. Empty and blank texts are embedded like any other.
            role: `query`, `document`, or `raw` for no template at all.
            task: The instruction of a query, where the recipe takes one. None is the recipe's default, an
                empty string no prefix.
            overflow: Instead of the Embedder's own.

        Returns:
            The vectors, in the order of the texts.

        Raises:
            InputError: A leaf of it names the text and what is wrong with it.
            InferenceError: If onnxruntime fails.
        """
        listed = [texts] if isinstance(texts, str) else texts
        encoded = self._lifetime.get().encode(listed, self._request(role, task, overflow))
        self._warn_of_truncation(int(encoded.truncated.sum()), overflow)
        return encoded.single() if isinstance(texts, str) else encoded

    def stream(
        self,
        texts: Iterable[str],
        *,
        role: Role,
        task: str | None = None,
        overflow: OverflowPolicy | None = None,
    ) -> Iterator[Encoded]:
        """Embeds an iterable of any length, lazily and in bounded memory.

        If the iterable raises, what it gave before is embedded and yielded first, then the error goes on.

        Args:
            texts: The texts.
            role: As for `encode`.
            task: As for `encode`.
            overflow: As for `encode`. Under `warn` there is one warning, at the end.

        Yields:
            Some hundred consecutive texts at a time.
        """
        first, truncated = 0, 0
        try:
            for chunk in chunks(each_text(texts), CHUNK_TEXTS):
                encoded = self._lifetime.get().encode(
                    chunk, self._request(role, task, overflow, first_index=first)
                )
                first += len(chunk)
                truncated += int(encoded.truncated.sum())
                yield encoded
        finally:
            self._warn_of_truncation(truncated, overflow)

    def stream_queries(
        self, texts: Iterable[str], *, task: str | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Yields the vector of each query, float32 [dimension]: `stream`, a text at a time."""
        for encoded in self.stream(texts, role="query", task=task):
            yield from encoded.vectors

    def stream_documents(self, texts: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """Yields the vector of each document, float32 [dimension]: `stream`, a text at a time."""
        for encoded in self.stream(texts, role="document"):
            yield from encoded.vectors

    def tokenize(
        self, texts: Iterable[str], *, role: Role, task: str | None = None
    ) -> list[NDArray[np.int64]]:
        """Returns the token ids of each text before any cutting, template and special tokens included."""
        return [text.ids for text in self._lifetime.get().tokenize(texts, self._request(role, task))]

    def count_tokens(self, texts: TextOrTexts, *, role: Role, task: str | None = None) -> NDArray[np.int64]:
        """Counts tokens as `tokenize` gives them: int64 [n], or a scalar array for one str."""
        listed = [texts] if isinstance(texts, str) else texts
        counts = np.array([len(ids) for ids in self.tokenize(listed, role=role, task=task)], np.int64)
        return np.asarray(counts[0]) if isinstance(texts, str) else counts

    def encode_ids(self, ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Embeds token ids, such as `tokenize` returns: int64 [tokens] each, to float32 [texts, dimension].

        Raises:
            OptionError: If a text has no ids, more than `max_tokens`, or ids outside the vocabulary.
            InferenceError: If onnxruntime fails.
        """
        return self._lifetime.get().encode_ids(ids)

    def close(self) -> None:
        """Releases the model; a second call does nothing."""
        self._lifetime.end()

    def _request(
        self, role: Role, task: str | None, overflow: OverflowPolicy | None = None, *, first_index: int = 0
    ) -> Request:
        return Request(role, task, self._options.overflow if overflow is None else overflow, first_index)

    def _warn_of_truncation(self, count: int, overflow: OverflowPolicy | None) -> None:
        if count and (overflow or self._options.overflow) == "warn":
            warnings.warn(TruncationWarning(count, self.max_tokens), stacklevel=3)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        precision = self._manifest.precision
        return f"Embedder({str(self._path)!r}, {precision=}, threads={self._threads})"

    def __reduce__(self) -> tuple[Callable[..., Embedder], tuple[Path]]:
        return partial(Embedder, **asdict(self._options)), (self._path.absolute(),)
