"""How many threads to use: what this process may run on, not what the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from e5_onnx.errors import OptionError

_V2_MOUNTS: Final = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_V1_MOUNTS: Final = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")


@dataclass(frozen=True, slots=True)
class ThreadChoice:
    """A number of threads.

    Attributes:
        count: At least 1.
        reason: Why that many: `2 CPUs by affinity`, `1 by cgroup quota 0.50 (cpu.max)` or `asked for`.
    """

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Quota:
    cpus: float
    file: str


def choose_threads(requested: int | None, *, root: Path = Path("/")) -> ThreadChoice:
    """Chooses the number of threads of a session.

    A container may be shown 64 CPUs and be allowed half of one; threads beyond that only wait for each other.

    Args:
        requested: The number that the caller asked for; None for the smaller of CPU affinity and cgroup
            quota (v1 or v2, of any level above the process, rounded up).
        root: The folder that holds `proc` and `sys`.

    Returns:
        The number and its reason.

    Raises:
        OptionError: If `requested` is not a whole number of at least 1.
    """
    if requested is not None:
        if type(requested) is not int or requested < 1:
            raise OptionError("threads", requested, "a whole number of at least 1")
        return ThreadChoice(requested, "asked for")
    available = _available_cpus()
    quota = min(_quotas(root), key=lambda quota: quota.cpus, default=None)
    if quota is None or (allowed := max(1, math.ceil(quota.cpus))) >= available.count:
        return available
    return ThreadChoice(allowed, f"{allowed} by cgroup quota {quota.cpus:.2f} ({quota.file})")


def _available_cpus() -> ThreadChoice:
    # Not on macOS and Windows.
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    if affinity is None:
        count, source = os.cpu_count() or 1, "counted"
    else:
        count, source = len(affinity(0)), "by affinity"
    return ThreadChoice(count, f"{count} CPU{'s' if count > 1 else ''} {source}")


def _quotas(root: Path) -> Iterator[_Quota]:
    """Yields every CPU quota that lies on the process, its own cgroup's and those above it."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        # hierarchy-ID:controllers:path, controllers being empty for v2 (cgroups(7)).
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            for folder in _levels(root, _V2_MOUNTS, path):
                yield from _parse_quota(_read(folder / "cpu.max"), "cpu.max")
        elif "cpu" in controllers.split(","):
            for folder in _levels(root, _V1_MOUNTS, path):
                pair = _read(folder / "cpu.cfs_quota_us") + " " + _read(folder / "cpu.cfs_period_us")
                yield from _parse_quota(pair, "cpu.cfs_quota_us")


def _levels(root: Path, mounts: tuple[str, ...], path: str) -> Iterator[Path]:
    """Yields the folders of a cgroup and of all above it, up to and with the mount itself.

    Inside a container the path may be the host's, so that only the mount is there; it is the container's own.
    """
    inside = PurePosixPath(*(part for part in path.split("/") if part not in ("", ".", "..")))
    for mount in mounts:
        yield root / mount / inside
        for above in inside.parents:
            yield root / mount / above


def _parse_quota(text: str, file: str) -> Iterator[_Quota]:
    """Yields the quota of "microseconds period", if it is one: v2 says `max`, v1 -1 where there is none."""
    parts = text.split()
    if len(parts) == 2 and all(part.isdecimal() for part in parts) and int(parts[1]) > 0:  # noqa: PLR2004
        yield _Quota(int(parts[0]) / int(parts[1]), file)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace")
    except OSError:
        return ""
