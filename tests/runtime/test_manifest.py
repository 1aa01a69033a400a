from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from e5_onnx.errors import FormatVersionError, ManifestError
from e5_onnx.model_folder.manifest import (
    Architecture,
    FileEntry,
    LeanProof,
    Manifest,
    Parity,
    Source,
    parse_manifest,
)
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX

MANIFEST = Manifest(
    source=Source("intfloat/multilingual-e5-small", "abc123", "mit", "0f" * 32, "for the test: é"),
    architecture=Architecture("bert", 12, 384, 12, 1536, 250037, 512, 0, 1e-12),
    dimension=384,
    max_tokens=512,
    recipe=E5_PREFIX,
    pooling="mean",
    precision="fp32",
    onnxruntime_min="1.30",
    files={
        "model.onnx": FileEntry(1000, "1a" * 32),
        "model.onnx.data": FileEntry(2000, "2b" * 32, "3c" * 32),
        "tokenizer.json": FileEntry(3000, "4d" * 32),
    },
    parity=Parity(True, "torch", 64, 1.1e-7, 1.0, 0.9999999, 0.999999, 1.0, 0.99999),
    tools={"onnx": "1.23.2"},
)

# The bytes of the file format: a change here is a change of the format, and docs/format.md and perhaps
# FORMAT_VERSION change with it.
JSON = """\
{
  "format_version": [
    1,
    0
  ],
  "source": {
    "name": "intfloat/multilingual-e5-small",
    "revision": "abc123",
    "license": "mit",
    "weights_sha256": "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f",
    "note": "for the test: é"
  },
  "architecture": {
    "body": "bert",
    "layers": 12,
    "hidden": 384,
    "heads": 12,
    "intermediate": 1536,
    "vocabulary": 250037,
    "positions": 512,
    "position_offset": 0,
    "layer_norm_eps": 1e-12
  },
  "dimension": 384,
  "max_tokens": 512,
  "recipe": {
    "name": "e5-prefix",
    "query_template": "query: {text}",
    "document_template": "passage: {text}",
    "default_task": null
  },
  "pooling": "mean",
  "precision": "fp32",
  "onnxruntime_min": "1.30",
  "files": {
    "model.onnx": {
      "bytes": 1000,
      "sha256": "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"
    },
    "model.onnx.data": {
      "bytes": 2000,
      "sha256": "2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b",
      "sampled_sha256": "3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c"
    },
    "tokenizer.json": {
      "bytes": 3000,
      "sha256": "4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d"
    }
  },
  "parity": {
    "checked": true,
    "reference": "torch",
    "texts": 64,
    "max_abs": 1.1e-07,
    "cosine_mean": 1.0,
    "cosine_p1": 0.9999999,
    "cosine_min": 0.999999,
    "centred_cosine_mean": 1.0,
    "centred_cosine_min": 0.99999
  },
  "tools": {
    "onnx": "1.23.2"
  },
  "baseline": false
}
"""


def with_changes(**changes: object) -> str:
    return json.dumps({**json.loads(JSON), **changes})


def without(*path: str) -> str:
    values: dict[str, Any] = json.loads(JSON)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return json.dumps(values)


def test_the_bytes_of_the_file() -> None:
    assert MANIFEST.to_json() == JSON


def test_the_bytes_read_back() -> None:
    assert parse_manifest(JSON) == MANIFEST


@pytest.mark.parametrize(
    "manifest",
    [
        replace(MANIFEST, precision="int8-stock", baseline=True),
        replace(
            MANIFEST, precision="int8", weight_bits=7, extra={"linears": [{"name": "0.qkv", "error": 0.1}]}
        ),
        replace(
            MANIFEST,
            recipe=E5_INSTRUCT,
            pooling="cls",
            lean_tokenizer=LeanProof("tokie", "0.1.4", 20_000),
        ),
        replace(MANIFEST, parity=Parity(checked=False, reference="none"), source=Source("x", None, None, "")),
    ],
    ids=["baseline", "unknown keys", "lean tokenizer", "nothing known"],
)
def test_written_and_read_again(manifest: Manifest) -> None:
    assert parse_manifest(manifest.to_json()) == manifest


def test_what_a_reader_must_know_is_written() -> None:
    written = replace(MANIFEST, requires=("titles",)).to_json()
    assert json.loads(written)["requires"] == ["titles"]
    with pytest.raises(FormatVersionError, match="requires is titles"):
        parse_manifest(written)


def test_a_newer_major_is_refused_whatever_else_changed() -> None:
    with pytest.raises(
        FormatVersionError,
        match=r"the folder has format 2\.3, this e5-onnx reads 1\.x: upgrade with `pip install -U e5-onnx`",
    ):
        parse_manifest('{"format_version": [2, 3], "source": "all different"}')


def test_unknown_keys_of_a_newer_minor_are_kept_aside() -> None:
    manifest = parse_manifest(with_changes(format_version=[1, 9], sparse={"index": 1}))
    assert manifest == replace(MANIFEST, format_version=(1, 9), extra={"sparse": {"index": 1}})


@pytest.mark.parametrize("version", [None, 1, "1.0", [], [1], [1, 0, 0], ["2", 0]])
def test_a_malformed_version_is_a_malformed_manifest(version: object) -> None:
    with pytest.raises(ManifestError, match=r"e5\.json: format_version"):
        parse_manifest(with_changes(format_version=version))


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[" * 100_000, '{"dimension": ' + "9" * 5000 + "}"])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ManifestError, match=r"e5\.json: the file: is not JSON \("):
        parse_manifest(text)


@pytest.mark.parametrize("text", ["[]", "null", "5", '"text"'])
def test_json_that_is_no_object(text: str) -> None:
    with pytest.raises(ManifestError, match=r"e5\.json: the top level: is .*, not an object"):
        parse_manifest(text)


@pytest.mark.parametrize(
    "path",
    [
        ("format_version",),
        ("source",),
        ("source", "name"),
        ("source", "license"),
        ("architecture", "position_offset"),
        ("dimension",),
        ("max_tokens",),
        ("recipe", "query_template"),
        ("pooling",),
        ("precision",),
        ("onnxruntime_min",),
        ("files",),
        ("files", "model.onnx", "sha256"),
        ("parity", "checked"),
        ("tools",),
    ],
    ids=".".join,
)
def test_a_missing_key_is_named(path: tuple[str, ...]) -> None:
    with pytest.raises(ManifestError, match=rf"e5\.json: {re.escape('.'.join(path))}: is missing"):
        parse_manifest(without(*path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimension": 0}, "e5.json: dimension: is 0, not a number from 1 to 1000000"),
        ({"max_tokens": -1}, "e5.json: max_tokens: is -1, not a number from 1 to 1000000"),
        ({"precision": 4}, "e5.json: precision: is 4, not str"),
        ({"onnxruntime_min": "new"}, "e5.json: onnxruntime_min: is 'new', not a version"),
        ({"pooling": None}, "e5.json: pooling: is None, not str"),
        (
            {"recipe": {"name": "custom", "query_template": "query:", "document_template": "{text}"}},
            "e5.json: recipe.query_template: is 'query:', which does not contain {text} once",
        ),
        (
            {"recipe": {"name": "custom", "query_template": "{text}", "document_template": "{text}{text}"}},
            "e5.json: recipe.document_template: is '{text}{text}', which does not contain {text} once",
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(with_changes(**changes))
    assert str(caught.value) == message + "; export the model again"


def test_the_fingerprint_is_this_one() -> None:
    """Indexes are kept beside it: it may not change from one version of e5-onnx to the next."""
    assert MANIFEST.fingerprint == "297ff1f1d967f8229744958c47112d2b327c183e572d3d4d5b69fc9d9a68126e"


@pytest.mark.parametrize(
    "other",
    [
        replace(MANIFEST, precision="int8"),
        replace(MANIFEST, pooling="cls"),
        replace(MANIFEST, recipe=E5_INSTRUCT),
        replace(MANIFEST, recipe=replace(E5_INSTRUCT, default_task="Find")),
        replace(MANIFEST, dimension=2),
        replace(MANIFEST, max_tokens=2),
        replace(MANIFEST, weight_bits=7),
        replace(MANIFEST, weight_pair_sum=1),
        *(
            replace(MANIFEST, files={**MANIFEST.files, name: FileEntry(1000, "ff" * 32)})
            for name in ("model.onnx", "model.onnx.data", "tokenizer.json")
        ),
    ],
)
def test_whatever_decides_a_vector_changes_the_fingerprint(other: Manifest) -> None:
    assert other.fingerprint != MANIFEST.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        replace(MANIFEST, source=Source("elsewhere", None, None, "")),
        replace(MANIFEST, parity=Parity(checked=False, reference="none")),
        replace(MANIFEST, tools={}),
        replace(MANIFEST, onnxruntime_min="1.31"),
        replace(MANIFEST, format_version=(1, 5)),
        replace(MANIFEST, extra={"note": 1}),
        replace(MANIFEST, files={**MANIFEST.files, "golden.npz": FileEntry(1, "ee" * 32)}),
    ],
)
def test_nothing_else_changes_the_fingerprint(other: Manifest) -> None:
    assert other.fingerprint == MANIFEST.fingerprint
