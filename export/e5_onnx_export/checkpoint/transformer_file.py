"""sentence-transformers' options of the encoder: length, lower-casing, arguments of the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.errors import CheckpointError

# In this order; the first that is there and holds something is the one.
TRANSFORMER_FILE_NAMES: Final = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
LENGTH_NAME: Final = TRANSFORMER_FILE_NAMES[0]

_READ: Final = ("max_seq_length", "do_lower_case", "tokenizer_args", "processor_kwargs")
_TOKENIZER_OPTIONS: Final = ("tokenizer_args", "processor_kwargs")
# Options by which transformers leaves tokenizer.json aside.
_OTHER_TOKENIZER: Final = {
    "use_fast": True,
    "from_slow": False,
    "tokenizer_type": None,
    "tokenizer_file": None,
    "gguf_file": None,
    "subfolder": "",
}
_MODEL_OPTIONS: Final = ("model_args", "model_kwargs", "config_args", "config_kwargs")
# Options of the model by which the numbers stay as they are in float32.
_HARMLESS_OPTIONS: Final = (
    "add_pooling_layer",
    "attn_implementation",
    "low_cpu_mem_usage",
    "trust_remote_code",
    "use_cache",
    "use_safetensors",
)
_DTYPES: Final = ("dtype", "torch_dtype")
_FLOAT32: Final = (None, "float32", "torch.float32")
_NOTHING: Final[tuple[Any, ...]] = (None, {}, [], "", False)
# Keys that change nothing at these values.
_USUAL: Final[dict[str, tuple[Any, ...]]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, "token_embeddings"),
    "modality_config": (
        *_NOTHING,
        {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        {"text": {"method": "forward", "method_output_name": ["last_hidden_state"]}},
    ),
    "processing_kwargs": _NOTHING,
    "tokenizer_name_or_path": _NOTHING,
    "query_length": _NOTHING,
    "document_length": _NOTHING,
    "query_expansion": _NOTHING,
    "unpad_inputs": (None, True, False),
}


@dataclass(frozen=True, slots=True)
class TransformerFile:
    """The settings in the file.

    Attributes:
        name: The name of the file.
        max_length: The longest text, in tokens, as the file has it, or None.
        lower_case: Whether texts are made lower case before all else.
        tokenizer_options: The options of the tokenizer; they override tokenizer_config.json.
    """

    name: str = LENGTH_NAME
    max_length: Any = None
    lower_case: bool = False
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)


def read_transformer_file(folder: Path, config: Mapping[str, Any]) -> TransformerFile:
    """Reads the file, by whichever of its names it is there.

    Args:
        folder: The encoder's.
        config: The contents of its config.json.

    Returns:
        The settings of the file; the defaults where there is none.

    Raises:
        CheckpointError: If it is damaged, or asks for what the graph does not do.
    """
    for name in TRANSFORMER_FILE_NAMES:
        values = read_json_object(folder / name) if (folder / name).exists() else {}
        if values:
            return _understand(name, values, config)
    return TransformerFile()


def _understand(name: str, values: Mapping[str, Any], config: Mapping[str, Any]) -> TransformerFile:
    for key, value in values.items():
        if key in _MODEL_OPTIONS:
            _check_model_options(name, key, _object(name, key, value), config=config)
        elif key not in _READ and value not in _USUAL.get(key, ()):
            raise CheckpointError(name, f"{key} is {value!r:.80}, which the graph does not do")
    # The older name comes first where both are there.
    key = next((key for key in _TOKENIZER_OPTIONS if key in values), _TOKENIZER_OPTIONS[0])
    options = _object(name, key, values.get(key))
    for option, usual in _OTHER_TOKENIZER.items():
        if options.get(option, usual) != usual:
            raise CheckpointError(
                name,
                f"{key} sets {option} to {options[option]!r:.80}, which makes another tokenizer than "
                "tokenizer.json: leave it out there if tokenizer.json is right",
            )
    return TransformerFile(
        name=name,
        max_length=values.get("max_seq_length"),
        lower_case=bool(values.get("do_lower_case")),
        tokenizer_options=options,
    )


def _object(name: str, key: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(name, f"{key} is {value!r:.80}, not an object")
    return value


def _check_model_options(
    name: str, key: str, options: Mapping[str, Any], *, config: Mapping[str, Any]
) -> None:
    for option, value in options.items():
        if option in _DTYPES:
            stored = next((config[dtype] for dtype in _DTYPES if config.get(dtype) is not None), None)
            if (stored if value == "auto" else value) not in _FLOAT32:
                raise CheckpointError(
                    name,
                    f"{key} asks for numbers in {value!r:.80}, and the graph computes in float32: leave "
                    f"{option} out there to export it so",
                )
        elif option not in _HARMLESS_OPTIONS:
            raise CheckpointError(
                name,
                f"{key} sets {option} to {value!r:.80}, and the graph is of the model without it: leave it "
                "out there if that is the model",
            )
