"""Other tools' noise and errors stop at one seam."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from e5_onnx.errors import MissingExtraError
from e5_onnx_export.errors import CheckpointError, ToolError
from e5_onnx_export.reference.foreign import foreign_tool


def test_what_a_tool_says_is_not_heard(capfd):
    before = logging.root.manager.disable
    with foreign_tool("loud", extra="x"):
        sys.stdout.write("out")
        sys.stderr.write("err")
        logging.getLogger("loud").warning("logged")
        warnings.warn("warned", FutureWarning, stacklevel=1)
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == before
    with pytest.warns(UserWarning, match="heard again"):
        warnings.warn("heard again", stacklevel=1)


def test_its_errors_become_ours():
    sentence = r"broken failed with KeyError: 'x'; its version may not .*x"
    with pytest.raises(ToolError, match=sentence) as caught, foreign_tool("broken", extra="x"):
        raise KeyError("x")
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_module_that_is_not_there_names_the_extra():
    sentence = r"no_such_module is not installed: .*'e5-onnx\[optimum\]'"
    with pytest.raises(MissingExtraError, match=sentence), foreign_tool("absent", extra="optimum"):
        __import__("no_such_module")


def test_a_module_that_does_not_fit_is_a_tools_failure():
    sentence = "odd failed with ImportError: cannot import name"
    with pytest.raises(ToolError, match=sentence), foreign_tool("odd", extra="x"):
        raise ImportError("cannot import name")


@pytest.mark.parametrize(
    "error", [CheckpointError("model.safetensors", "is short"), OSError(28, "disk full")]
)
def test_our_own_errors_and_the_systems_pass(error):
    with pytest.raises(type(error)) as caught, foreign_tool("any", extra="x"):
        raise error
    assert caught.value is error
