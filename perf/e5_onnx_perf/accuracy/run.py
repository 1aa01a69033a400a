"""Observes every unit with every model, keeping what is found, and compares."""

from __future__ import annotations

from collections.abc import Sequence

from e5_onnx.inference.encoded import Encoded
from e5_onnx_export.progress import Progress
from e5_onnx_perf.accuracy.instructions import Side
from e5_onnx_perf.accuracy.measured_model import Loaded, MeasuredModel
from e5_onnx_perf.accuracy.observations import ObservationStore
from e5_onnx_perf.accuracy.units import Observation, Unit


def observe_all(
    model: MeasuredModel, units: Sequence[Unit], store: ObservationStore, *, progress: Progress
) -> list[Observation]:
    """A model's observation of every unit; its weights are loaded only if one is not known yet.

    Args:
        model: The model.
        units: The units.
        store: The store of observations, each kept as soon as it is made.
        progress: The display that counts units.

    Returns:
        One for each unit.
    """
    lazy = _LazyModel(model)
    try:
        tracked = progress.track(units, label=model.name, total=len(units))
        return [_observe(unit, model, store, lazy=lazy) for unit in tracked]
    finally:
        lazy.close()


def _observe(unit: Unit, model: MeasuredModel, store: ObservationStore, *, lazy: _LazyModel) -> Observation:
    written = [model.recipe.template(side.role, side.task) for _, side in unit.texts()]
    digest = f"{unit.digest()} {written!r}"
    known = store.find(model.identity, digest)
    if known is not None:
        return known
    observation = unit.observe(lazy.encode)
    store.keep(model.identity, digest, observation)
    return observation


class _LazyModel:
    def __init__(self, model: MeasuredModel) -> None:
        self._model = model
        self._loaded: Loaded | None = None

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        if self._loaded is None:
            self._loaded = self._model.load()
        return self._loaded.encode(texts, side)

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.close()
