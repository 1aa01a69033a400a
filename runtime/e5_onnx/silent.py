"""onnxruntime with its telemetry off: the one module that imports it.

From 1.29 on its packages write a device id and a store of events into the user's home folder and look up
their maker's host, from the import on (onnxruntime#27379). Only ORT_DISABLE_TELEMETRY, set before the import,
stops all of it; child processes inherit it. Whoever wants the telemetry sets it to 0.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Container, MutableMapping
from typing import Final, Literal

VARIABLE: Final = "ORT_DISABLE_TELEMETRY"
# What onnxruntime takes for yes; for anything else its telemetry is on.
_YES: Final = frozenset({"1", "true", "yes", "on"})

Telemetry = Literal["off", "on", "too late"]

EXPLANATIONS: Final[dict[Telemetry, str]] = {
    "off": "off",
    "on": f"on, because {VARIABLE} asks for it",
    "too late": "on, because onnxruntime was imported before e5_onnx: "
    f"set {VARIABLE}=1 in the environment, or import e5_onnx first",
}


def turn_off(environment: MutableMapping[str, str], imported: Container[str]) -> Telemetry:
    """Turns onnxruntime's telemetry off for this process and its children, unless it is asked for.

    Args:
        environment: The environment of this process. An empty value counts as unset.
        imported: Names of the modules that are imported already.

    Returns:
        The state then: `too late` if onnxruntime has read the environment already.
    """
    chosen = environment.get(VARIABLE) or None
    if chosen is None:
        environment[VARIABLE] = "1"
        return "too late" if "onnxruntime" in imported else "off"
    return "off" if chosen.strip().lower() in _YES else "on"


TELEMETRY: Final = turn_off(os.environ, sys.modules)

import onnxruntime  # noqa: E402 - only now

if TELEMETRY != "on":
    onnxruntime.disable_telemetry_events()  # on Windows they go to the system, and this alone stops them
if TELEMETRY == "too late":
    logging.getLogger("e5_onnx").warning("onnxruntime's telemetry is %s", EXPLANATIONS[TELEMETRY])

__all__ = ["EXPLANATIONS", "TELEMETRY", "VARIABLE", "Telemetry", "onnxruntime", "turn_off"]
