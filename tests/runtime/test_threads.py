from __future__ import annotations

import os
from pathlib import Path

import pytest

from e5_onnx.errors import OptionError
from e5_onnx.machine.threads import ThreadChoice, choose_threads

V2 = "0::/user.slice/job\n"
V1 = "12:pids:/job\n4:cpu,cpuacct:/docker/job\n3:cpuset:/job\n"


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return root


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, ThreadChoice(8, "8 CPUs by affinity"), id="no cgroup"),
        pytest.param(
            {"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n"},
            ThreadChoice(8, "8 CPUs by affinity"),
            id="v2 without a quota",
        ),
        pytest.param(
            {"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "50000 100000\n"},
            ThreadChoice(1, "1 by cgroup quota 0.50 (cpu.max)"),
            id="v2, half a CPU is one thread",
        ),
        pytest.param(
            {"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "250000 100000\n"},
            ThreadChoice(3, "3 by cgroup quota 2.50 (cpu.max)"),
            id="v2, rounded up",
        ),
        pytest.param(
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/user.slice/job/cpu.max": "700000 100000\n",
                "sys/fs/cgroup/user.slice/cpu.max": "400000 100000\n",
            },
            ThreadChoice(4, "4 by cgroup quota 4.00 (cpu.max)"),
            id="v2, the smallest of all levels",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"},
            ThreadChoice(2, "2 by cgroup quota 2.00 (cpu.max)"),
            id="v2, the container's own root",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"},
            ThreadChoice(2, "2 by cgroup quota 2.00 (cpu.max)"),
            id="v2, a path outside of the namespace",
        ),
        pytest.param(
            {"proc/self/cgroup": V1 + V2, "sys/fs/cgroup/unified/user.slice/job/cpu.max": "300000 100000\n"},
            ThreadChoice(3, "3 by cgroup quota 3.00 (cpu.max)"),
            id="v2 beside v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/job/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu/docker/job/cpu.cfs_period_us": "100000\n",
            },
            ThreadChoice(2, "2 by cgroup quota 1.50 (cpu.cfs_quota_us)"),
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            ThreadChoice(1, "1 by cgroup quota 1.00 (cpu.cfs_quota_us)"),
            id="v1, only the container's own folder is mounted",
        ),
        pytest.param(
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/job/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/job/cpu.cfs_period_us": "100000\n",
            },
            ThreadChoice(8, "8 CPUs by affinity"),
            id="v1 without a quota",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpuset:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            ThreadChoice(8, "8 CPUs by affinity"),
            id="v1, another controller's path",
        ),
        pytest.param(
            {"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "1600000 100000\n"},
            ThreadChoice(8, "8 CPUs by affinity"),
            id="a quota larger than the affinity",
        ),
        pytest.param(
            {"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "800000 100000\n"},
            ThreadChoice(8, "8 CPUs by affinity"),
            id="a quota equal to the affinity",
        ),
        pytest.param(
            {"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "0 100000\n"},
            ThreadChoice(1, "1 by cgroup quota 0.00 (cpu.max)"),
            id="never none",
        ),
        pytest.param(
            {"proc/self/cgroup": "nonsense\n0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"},
            ThreadChoice(8, "8 CPUs by affinity"),
            id="malformed",
        ),
    ],
)
def test_affinity_or_quota_whichever_is_smaller(
    tmp_path: Path, files: dict[str, str], expected: ThreadChoice
) -> None:
    assert choose_threads(None, root=system(tmp_path, files)) == expected


def test_one_cpu_is_written_in_the_singular(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {5}, raising=False)
    assert choose_threads(None, root=tmp_path) == ThreadChoice(1, "1 CPU by affinity")


@pytest.mark.parametrize(("counted", "expected"), [(6, 6), (None, 1)])
def test_without_affinity_the_cpus_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: int | None, expected: int
) -> None:
    """As on macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    choice = choose_threads(None, root=tmp_path)
    assert choice == ThreadChoice(expected, f"{expected} CPU{'s' if expected > 1 else ''} counted")


def test_a_request_wins(tmp_path: Path) -> None:
    root = system(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"})
    assert choose_threads(12, root=root) == ThreadChoice(12, "asked for")


@pytest.mark.parametrize("requested", [0, -1, True, 2.0, "2"])
def test_a_request_that_is_no_number_of_threads(requested: object) -> None:
    with pytest.raises(
        OptionError, match=rf"threads is {requested!r}; it must be a whole number of at least 1"
    ):
        choose_threads(requested)  # type: ignore[arg-type]


def test_this_machine() -> None:
    assert choose_threads(None).count >= 1
