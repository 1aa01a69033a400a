"""`e5-perf server-load`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from e5_onnx import Embedder
from e5_onnx.errors import OptionError
from e5_onnx.inference.options import Mode
from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.accuracy_results import write_values
from e5_onnx_perf.serve_load.abuse import Target, abuse, after
from e5_onnx_perf.serve_load.kills import kill_workers
from e5_onnx_perf.serve_load.load import Latencies, singles, throughput
from e5_onnx_perf.serve_load.servers import ServerProcess, our_server, peer_server
from e5_onnx_perf.speed.texts import TextMaker, text_maker

TEXT: Final = """\
Puts `e5 serve` under load: throughput of 32 clients, latency of one text alone and during bulk, abuse.

Throughput and latency are compared with those of the library on the same texts, in turns. With --checkpoint a
page of Starlette around sentence-transformers gets the same load."""

EXAMPLE: Final = "  e5-perf server-load e5-small-int8 --seconds 600 --out serve"

_CLIENTS, _ROUNDS = 32, 3
_REQUESTS, _SINGLES, _BESIDE, _BULK = 96, 200, 60, 2000
_FILES, _KILLS = 160, 6
# A server that is full says 503 and when to come again.
_FULL: Final = "503"
# Memory may still grow by so much after the first fifth of the abuse.
_GROWTH, _GROWTH_MB = 1.1, 50
_KEY: Final = "the-key-of-this-measurement"
_MODES: Final[tuple[Mode, ...]] = ("latency", "throughput")
Measures = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a model folder")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="checkpoint for the page around sentence-transformers (default: no such page)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder that holds tatoeba/ (default: made-up texts of seeded words)",
    )
    parser.add_argument("--seconds", type=float, default=30, help="seconds of abuse (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for serve.json (default: none)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command; 1 if anything was wrong or stayed unanswered."""
    if parsed.seconds <= 0:
        raise OptionError("seconds", parsed.seconds, "more than 0")
    maker = text_maker(parsed.folder / TOKENIZER_NAME, parsed.data)
    progress = TerminalProgress()
    with ExitStack() as stack:
        model = stack.enter_context(Embedder(parsed.folder, mode="throughput", overflow="truncate"))
        servers = [
            stack.enter_context(our_server(parsed.folder, "--mode", mode, name=f"e5 serve, {mode}"))
            for mode in _MODES
        ]
        if parsed.checkpoint is not None:
            servers.append(stack.enter_context(peer_server(parsed.checkpoint)))
        progress.step("throughput")
        values: Measures = {"throughput": _throughput(model, servers, maker)}
        progress.step("delays")
        values["delays"] = _delays(parsed.folder, servers, maker)
    progress.step("abuse")
    values["abuse"] = _abuse(parsed.folder, maker, seconds=parsed.seconds)
    if parsed.out is not None:
        parsed.out.mkdir(parents=True, exist_ok=True)
        write_values(values, parsed.out / "serve.json")
    sys.stdout.write(json.dumps(values, indent=2) + "\n")
    return int(_harmed(values["abuse"]))


def _harmed(abuse: Measures) -> bool:
    failed = any(status.startswith("5") and status != _FULL for status in abuse["refused"])
    grown = abuse["memory_at_most_later_mb"] > _GROWTH * abuse["memory_after_a_fifth_mb"] + _GROWTH_MB
    ended = abuse["exit_code"] or not abuse["alive_at_the_end"]
    lost = abuse["wrong"] or abuse["unanswered"] or abuse["unhealthy"] or abuse["kills"]["harm"]
    return bool(lost or failed or grown or ended)


def _throughput(model: Embedder, servers: Sequence[ServerProcess], maker: TextMaker) -> list[Measures]:
    """Texts a second, the library's own and each server's in turn, and the ratio of each round."""
    generator = np.random.default_rng(0)
    lengths = [generator.integers(6, 120, int(generator.integers(4, 33))).tolist() for _ in range(_REQUESTS)]
    requests = [maker.make(own, number) for number, own in enumerate(lengths)]
    texts = [text for own in requests for text in own]
    seconds: list[list[float]] = [[] for _ in range(1 + len(servers))]
    for _ in range(_ROUNDS + 1):
        started = time.perf_counter()
        model.embed_queries(texts)
        seconds[0].append(time.perf_counter() - started)
        for own, server in zip(seconds[1:], servers, strict=True):
            own.append(throughput(server.url, requests, clients=_CLIENTS))
    names = ["library", *(server.name for server in servers)]
    # The first round of each is not counted.
    return [
        {
            "engine": name,
            "clients": _CLIENTS if number else 1,
            "texts_per_s": round(len(texts) / median(own[1:]), 1),
            "ratio_to_library": round(median(np.array(seconds[0][1:]) / np.array(own[1:])), 3),
        }
        for number, (name, own) in enumerate(zip(names, seconds, strict=True))
    ]


def _delays(folder: Path, servers: Sequence[ServerProcess], maker: TextMaker) -> list[Measures]:
    texts = maker.make([16] * _SINGLES, 1)
    bulk = maker.make(np.random.default_rng(2).integers(6, 60, _BULK).tolist(), 2)
    rows: list[Measures] = []
    for mode in _MODES:
        with Embedder(folder, mode=mode) as model:
            own = Latencies.of(_own_singles(model, texts))
        rows.append({"engine": f"library, {mode}", "beside": "nothing", **asdict(own)})
    for server in servers:
        alone = Latencies.of(singles(server.url, texts))
        rows.append({"engine": server.name, "beside": "nothing", **asdict(alone)})
    for server in servers:
        beside = Latencies.of(singles(server.url, texts[:_BESIDE], beside=bulk))
        rows.append({"engine": server.name, "beside": f"a request of {_BULK} texts", **asdict(beside)})
    return rows


def _own_singles(model: Embedder, texts: Sequence[str]) -> list[float]:
    model.embed_queries(texts[0])
    found = []
    for text in texts:
        started = time.perf_counter()
        model.embed_queries(text)
        found.append(time.perf_counter() - started)
        time.sleep(0.005)
    return found


def _abuse(folder: Path, maker: TextMaker, *, seconds: float) -> Measures:
    texts = maker.make(np.random.default_rng(3).integers(6, 200, 64).tolist(), 3)
    with Embedder(folder, overflow="truncate") as model:
        truth = model.embed_queries(texts)
    short = ("--header-timeout", "2", "--body-timeout", "2", "--send-timeout", "2")
    with our_server(folder, *short, files=_FILES, keys=_KEY) as server:
        found = abuse(Target(server.url, _KEY, texts, truth, server.pid), until=after(seconds))
        alive, code = server.alive, server.stop()
    with our_server(folder, "--workers", "2", "--threads", "1", keys=_KEY) as server:
        killed = kill_workers(Target(server.url, _KEY, texts, truth, server.pid), count=_KILLS)
    tenth = max(1, len(found.memory_mb) // 10)
    settled = max(found.memory_mb[: 2 * tenth])
    return {
        "seconds": seconds,
        "answered": found.answered,
        "wrong": found.wrong,
        "refused": dict(sorted(found.refused.items())),
        "unanswered": dict(sorted(found.unanswered.items())),
        "reconnected": found.reconnected,
        "unhealthy": found.unhealthy,
        "health_at_most_s": round(max(found.health_s), 3),
        "broken": dict(sorted(found.statuses.items())),
        "alive_at_the_end": alive,
        "exit_code": code,
        "kills": {**asdict(killed), "harm": killed.harm},
        "memory_after_a_fifth_mb": round(settled, 1),
        "memory_at_most_later_mb": round(max(found.memory_mb[2 * tenth :] or [settled]), 1),
    }
