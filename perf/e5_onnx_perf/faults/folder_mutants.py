"""Model folders that are changed at random, each from its seed and number alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from e5_onnx.model_folder.manifest import MANIFEST_NAME, TOKENIZER_NAME

# Of the mutants, those whose e5.json has the hashes of the changed files.
_RESEALED: Final = 0.7
_MOST_CHANGES: Final = 2
_DEEP: Final = 100_000
_JSON_FILES: Final = (MANIFEST_NAME, TOKENIZER_NAME)
_VALUES: Final[tuple[object, ...]] = (
    None, True, -1, 0, 1, 7, 2**31, 2**63, 10**30, 1e308, -0.5, "", "x" * 300, "../x", "\0", "\ud800", "²",
    [], {}, [[]], {"a": None}, [1, 0], "mean", "{text}",
)  # fmt: skip
_TARGETS: Final = ("/dev/zero", "/etc/passwd", ".", "missing", "e5.json", "../original/golden.npz")


@dataclass(slots=True)
class Mutant:
    """A folder that is being changed.

    Attributes:
        files: Contents by name; None for what is in `odd`.
        odd: Links by name with their targets; the empty target is a FIFO.
        done: The change, for sentences.
        resealed: Whether the hashes are those of the changed files.
    """

    files: dict[str, bytes]
    odd: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    resealed: bool = False

    def write(self, folder: Path, original: Mapping[str, bytes]) -> None:
        """Makes a folder of it, from a copy of the original."""
        for name in original.keys() - self.files.keys():
            (folder / name).unlink()
        for name, content in self.files.items():
            if original.get(name) != content:
                (folder / name).write_bytes(content)
        for name, target in self.odd.items():
            (folder / name).unlink(missing_ok=True)
            if target:
                (folder / name).symlink_to(target)
            else:
                os.mkfifo(folder / name)


def make_mutant(original: Mapping[str, bytes], seed: int, number: int) -> Mutant:
    """The mutant of a number."""
    chance = np.random.default_rng([seed, number])
    mutant = Mutant(dict(original))
    for _ in range(int(chance.integers(1, _MOST_CHANGES + 1))):
        change = _CHANGES[int(chance.integers(len(_CHANGES)))]
        mutant.done.append(f"{change.__name__.strip('_')} {change(mutant, chance)}")
    if chance.random() < _RESEALED:
        _reseal(mutant)
    return mutant


def restore(folder: Path, original: Mapping[str, bytes], mutant: Mutant) -> None:
    """Makes the folder the original's copy again."""
    if mutant.odd or mutant.files.keys() != original.keys():
        shutil.rmtree(folder)
        folder.mkdir()
        for name, content in original.items():
            (folder / name).write_bytes(content)
        return
    for name, content in original.items():
        if mutant.files[name] != content:
            (folder / name).write_bytes(content)


def _name(mutant: Mutant, chance: np.random.Generator) -> str:
    names = sorted(mutant.files)
    return names[int(chance.integers(len(names)))]


def _flip(mutant: Mutant, chance: np.random.Generator) -> str:
    name = _name(mutant, chance)
    content = bytearray(mutant.files[name])
    for place in chance.integers(0, max(len(content), 1), int(chance.integers(1, 9))).tolist():
        content[place : place + 1] = bytes([int(chance.integers(256))])
    mutant.files[name] = bytes(content)
    return name


def _cut(mutant: Mutant, chance: np.random.Generator) -> str:
    name = _name(mutant, chance)
    mutant.files[name] = mutant.files[name][: int(chance.integers(0, len(mutant.files[name]) + 1))]
    return name


def _insert(mutant: Mutant, chance: np.random.Generator) -> str:
    name = _name(mutant, chance)
    content = mutant.files[name]
    place = int(chance.integers(0, len(content) + 1))
    mutant.files[name] = content[:place] + chance.bytes(int(chance.integers(1, 64))) + content[place:]
    return name


def _copy_part(mutant: Mutant, chance: np.random.Generator) -> str:
    name = _name(mutant, chance)
    content = bytearray(mutant.files[name])
    first, second = chance.integers(0, len(content) + 1, 2).tolist()
    size = int(chance.integers(1, 256))
    content[second : second + size] = content[first : first + size]
    mutant.files[name] = bytes(content)
    return name


def _exchange(mutant: Mutant, chance: np.random.Generator) -> str:
    one, two = _name(mutant, chance), _name(mutant, chance)
    mutant.files[one], mutant.files[two] = mutant.files[two], mutant.files[one]
    return f"{one} and {two}"


def _rename(mutant: Mutant, chance: np.random.Generator) -> str:
    if len(mutant.files) == 1:
        return "nothing"
    name = _name(mutant, chance)
    content = mutant.files.pop(name)
    if chance.random() < 0.5:  # noqa: PLR2004 - else it is removed
        mutant.files["other"] = content
    return name


def _link(mutant: Mutant, chance: np.random.Generator) -> str:
    name = _name(mutant, chance)
    targets = (*_TARGETS, name, "")
    mutant.odd[name] = targets[int(chance.integers(len(targets)))]
    return f"{name} to {mutant.odd[name] or 'a FIFO'}"


def _json_value(mutant: Mutant, chance: np.random.Generator) -> str:
    """Replaces, adds or removes a value, by its place in the JSON text."""
    name = _JSON_FILES[int(chance.integers(2))]
    try:
        values = json.loads(mutant.files[name])
    except (KeyError, ValueError, RecursionError):
        return "nothing"
    places = list(_places(values))
    if not places:
        return "nothing"
    holder, key = places[int(chance.integers(len(places)))]
    value = _VALUES[int(chance.integers(len(_VALUES)))]
    match int(chance.integers(4)):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[str(value)] = holder.pop(key)
        case _:
            holder[key] = value
    mutant.files[name] = json.dumps(values).encode()
    return f"{name} at {key!r:.40}"


def _brackets(mutant: Mutant, chance: np.random.Generator) -> str:
    name = _JSON_FILES[int(chance.integers(2))]
    mutant.files[name] = b"[" * _DEEP
    return name


def _places(values: dict[str, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    keys: Iterable[Any] = values if isinstance(values, dict) else range(len(values))
    for key in keys:
        yield values, key
        if isinstance(values[key], dict | list):
            yield from _places(values[key])


def _reseal(mutant: Mutant) -> None:
    """Writes the hashes and sizes of the present files, as an attacker would."""
    try:
        values = json.loads(mutant.files[MANIFEST_NAME])
        for name, row in values["files"].items():
            content = mutant.files[name]
            row.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            row.pop("sampled_sha256", None)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return
    mutant.files[MANIFEST_NAME] = json.dumps(values).encode()
    mutant.resealed = True


# JSON values and flipped bytes reach furthest, so they come most often.
_CHANGES: Final[tuple[Callable[[Mutant, np.random.Generator], str], ...]] = (
    *[_flip] * 9, *[_json_value] * 9, *[_copy_part] * 3, *[_insert] * 2, *[_cut] * 2, *[_exchange] * 2,
    _rename, _link, _brackets,
)  # fmt: skip
