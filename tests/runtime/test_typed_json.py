from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from e5_onnx.errors import ManifestError
from e5_onnx.model_folder.typed_json import read_dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    spokes: int


@dataclass(frozen=True, slots=True)
class Bicycle:
    name: str
    gears: int
    weight: float
    colours: tuple[str, ...]
    front: Wheel
    size: tuple[int, float]
    bag: str | None
    spares: dict[str, Wheel]
    sold: bool = False
    rear: Wheel | None = None
    notes: dict[str, Any] = field(default_factory=dict)


COMPLETE: dict[str, object] = {
    "name": "Ära",
    "gears": 3,
    "weight": 12,
    "colours": ["red", "green"],
    "front": {"spokes": 32},
    "size": [50, 1.5],
    "bag": None,
    "spares": {"left": {"spokes": 28}},
}


def test_a_whole_object() -> None:
    assert read_dataclass(Bicycle, COMPLETE) == Bicycle(
        "Ära", 3, 12.0, ("red", "green"), Wheel(32), (50, 1.5), None, {"left": Wheel(28)}
    )


def test_keys_with_a_default() -> None:
    given = {**COMPLETE, "sold": True, "rear": {"spokes": 36}, "notes": {"any": [1, None]}, "bag": "leather"}
    bicycle = read_dataclass(Bicycle, given)
    assert (bicycle.sold, bicycle.rear, bicycle.notes, bicycle.bag) == (
        True,
        Wheel(36),
        {"any": [1, None]},
        "leather",
    )


def test_a_list_of_any_length() -> None:
    assert read_dataclass(Bicycle, {**COMPLETE, "colours": []}).colours == ()


def test_unknown_keys_are_ignored_at_every_level() -> None:
    given = {**COMPLETE, "bell": 1, "front": {"spokes": 32, "tyre": "new"}}
    assert read_dataclass(Bicycle, given) == read_dataclass(Bicycle, COMPLETE)


def test_an_int_becomes_the_float_that_was_declared() -> None:
    assert isinstance(read_dataclass(Bicycle, COMPLETE).weight, float)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 3, "e5.json: name: is 3, not str"),
        ("name", None, "e5.json: name: is None, not str"),
        ("gears", "3", "e5.json: gears: is '3', not int"),
        ("gears", 3.0, "e5.json: gears: is 3.0, not int"),
        ("gears", True, "e5.json: gears: is True, not int"),
        ("weight", "12", "e5.json: weight: is '12', not float"),
        ("weight", False, "e5.json: weight: is False, not float"),
        ("sold", 1, "e5.json: sold: is 1, not bool"),
        ("colours", "blue", "e5.json: colours: is 'blue', not a list"),
        ("colours", ["blue", 5], "e5.json: colours.1: is 5, not str"),
        ("front", [], "e5.json: front: is [], not an object"),
        ("front", {}, "e5.json: front.spokes: is missing"),
        ("front", {"spokes": None}, "e5.json: front.spokes: is None, not int"),
        ("rear", {"spokes": "x"}, "e5.json: rear.spokes: is 'x', not int"),
        ("bag", 5, "e5.json: bag: is 5, not str"),
        ("size", 5, "e5.json: size: is 5, not a list"),
        ("size", [1], "e5.json: size: is [1], not a list of 2"),
        ("size", [1, "b"], "e5.json: size.1: is 'b', not float"),
        ("spares", [], "e5.json: spares: is [], not an object"),
        ("spares", {"left": 1}, "e5.json: spares.left: is 1, not an object"),
        ("spares", {"left": {"spokes": []}}, "e5.json: spares.left.spokes: is [], not int"),
    ],
)
def test_what_does_not_fit_is_named_by_its_full_path(key: str, value: object, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_dataclass(Bicycle, {**COMPLETE, key: value})
    assert str(caught.value) == message + "; export the model again"


@pytest.mark.parametrize("key", ["name", "gears", "weight", "colours", "front", "size", "bag", "spares"])
def test_keys_without_default_may_not_be_missing(key: str) -> None:
    with pytest.raises(ManifestError, match=f"e5.json: {key}: is missing"):
        read_dataclass(Bicycle, {name: value for name, value in COMPLETE.items() if name != key})


@pytest.mark.parametrize("values", [None, [], "text", 5])
def test_the_top_level_must_be_an_object(values: object) -> None:
    with pytest.raises(ManifestError, match=r"e5\.json: the top level: is .*, not an object"):
        read_dataclass(Bicycle, values)


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(ManifestError) as caught:
        read_dataclass(Bicycle, {**COMPLETE, "gears": "x" * 10_000})
    assert len(str(caught.value)) < 200


def test_an_integer_too_large_for_a_float() -> None:
    with pytest.raises(ManifestError, match=r"e5\.json: weight: is 10+, not float"):
        read_dataclass(Bicycle, {**COMPLETE, "weight": 10**400})
