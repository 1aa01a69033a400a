"""Prints docs/licences.md from what is installed here: `python constraints/licences.py > docs/licences.md`.

It lists what is installed with the package, `[lean]` and `[serve]`: the image of deploy/Dockerfile.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

LOCK: Final = Path(__file__).with_name("serve.txt")
HEAD: Final = """\
# Licences

e5-onnx itself is MIT and bundles nothing of others'. These are installed with it and the extras `lean` and \
`serve`, and so are in the image of `deploy/Dockerfile`. `make licences` writes this page from the packages' \
own metadata.

| package | licence |
| --- | --- |
"""
_CLASSIFIER: Final = "License :: OSI Approved :: "


def rows() -> Iterator[str]:
    """A row for each package of the lock that this platform needs."""
    for line in re.findall(r"(?m)^([a-z0-9].*==[^\\\n]*)", LOCK.read_text("ascii")):
        required = Requirement(line)
        if required.marker is None or required.marker.evaluate():
            yield f"| {required.name} | {licence_of(metadata.metadata(required.name))} |\n"


def licence_of(about: metadata.PackageMetadata) -> str:
    """The licence as a package states it: an expression, else classifiers, else words."""
    expression = about.get("License-Expression")
    if expression:
        return expression
    classified = [
        row.removeprefix(_CLASSIFIER) for row in about.get_all("Classifier", []) if _CLASSIFIER in row
    ]
    return ", ".join(classified) or about["License"].splitlines()[0]


if __name__ == "__main__":
    sys.stdout.write(HEAD + "".join(rows()))
