"""A page from a template of this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e5_onnx.errors import MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fills a template; whatever is not marked as safe there is escaped.

    Raises:
        MissingExtraError: If Jinja is not installed.
    """
    return environment().get_template(template).render(values)


def environment() -> Environment:
    """The environment that finds templates.

    Raises:
        MissingExtraError: If Jinja is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("perf", "jinja2") from error
    return Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def write_text(text: str, path: Path) -> None:
    """Writes a file, all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)
