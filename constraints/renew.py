"""Renews the locks: `pip install uv`, then `python constraints/renew.py`.

A lock lists every package of an environment for all platforms, each file by its hash. All have the versions
of the first, but for the environment of optimum, which needs older ones, and that of the lowest versions. A
lock that is there is changed where it must be only: remove it to take today's versions.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
CORE = "bulk demo dev export lean perf serve"
REFERENCE = "browser chroma clients examples haystack langchain llama-index mteb mutants ray reference"
# By lock: extras of the package and groups of dependencies.
LOCKS = {
    "reference": (f"{CORE} {REFERENCE}", ""),
    "optimum": ("demo lean peers", "test"),
    "core": (CORE, ""),
    "demo": ("demo lean", ""),
    "serve": ("lean serve", ""),
    "docs": ("docs", ""),
    "wheel": ("", "test"),
}
OWN_VERSIONS = ("reference", "optimum")
# torch for CPUs: PyTorch's own index has it for Linux and Windows, PyPI for macOS.
TORCH = [line.split()[0] for line in (HERE / "torch.sha256").read_text("ascii").splitlines()]
UV = (
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes"),
    *("--config-file=constraints/uv.toml", "--no-annotate", "--no-header"),
)


def renew(name: str, *arguments: str, same_as: str | None = "reference") -> None:
    """Writes a lock from what is asked for, with the versions of another."""
    file = HERE / f"{name}.txt"
    same = [f"--constraint=constraints/{same_as}.txt"] if same_as else []
    subprocess.run([*UV, f"--output-file={file}", *arguments, *same], check=True, cwd=HERE.parent)  # noqa: S603
    hashes = "".join(f" \\\n    --hash=sha256:{digest}" for digest in TORCH)
    text = file.read_text("ascii")
    text = re.sub(r"(?m)^(torch==\S+)( \\\n    --hash=\S+)+", lambda found: found[1] + hashes, text)
    file.write_text(text, "ascii")


def main() -> None:
    """Renews all of them."""
    for name, (extras, groups) in LOCKS.items():
        wanted = [f"--extra={extra}" for extra in extras.split()]
        wanted += [f"--group={group}" for group in groups.split()]
        renew(name, "pyproject.toml", *wanted, same_as=None if name in OWN_VERSIONS else "reference")
    renew("build", "--group=build")
    renew("lowest", "constraints/lowest.in", same_as=None)


if __name__ == "__main__":
    main()
