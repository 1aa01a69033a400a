"""The card is read by people and by the hub: its whole text is held, for the same manifest gives the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tiny_models import BERT, XLM_ROBERTA

from e5_onnx.model_folder.manifest import FileEntry, Manifest, Parity, Source
from e5_onnx.recipes import E5_INSTRUCT, PLAIN, Recipe
from e5_onnx_export.cards.card import ACCURACY_BEGIN, ACCURACY_END, merge_accuracy, model_card
from e5_onnx_export.cards.languages import languages
from e5_onnx_export.cards.parts import with_library

MANIFEST = Manifest(
    source=Source("intfloat/multilingual-e5-large-instruct", "274baa4", "mit", "a" * 64),
    architecture=XLM_ROBERTA,
    dimension=16,
    max_tokens=32,
    recipe=E5_INSTRUCT,
    pooling="mean",
    precision="fp32",
    onnxruntime_min="1.30",
    files={
        "tokenizer.json": FileEntry(2_000_000, "d" * 64),
        "model.onnx": FileEntry(100_000, "b" * 64),
        "model.onnx.data": FileEntry(5_900_000, "c" * 64, "e" * 64),
    },
    parity=Parity(True, "torch", 68, 1.1e-07, 0.99999999, 0.9999999, 0.9999998, 0.9999997, 0.9999996),
    tools={"e5-onnx": "0.1.0", "onnx": "1.23.2"},
)

EXPECTED = """\
---
license: "mit"
base_model: "intfloat/multilingual-e5-large-instruct"
language: %(languages)s
library_name: onnx
pipeline_tag: sentence-similarity
tags:
- onnx
- onnxruntime
- e5-onnx
- embeddings
- fp32
---

# intfloat/multilingual-e5-large-instruct as ONNX, fp32

[intfloat/multilingual-e5-large-instruct](https://huggingface.co/intfloat/multilingual-e5-large-instruct) \
for e5-onnx: texts to vectors of 16 numbers on a plain CPU, without torch. Weights are 32-bit floating \
point; the folder has 8 MB and needs onnxruntime 1.30 or newer.

## Use

```sh
pip install e5-onnx
```

```python
from e5_onnx import Embedder

with Embedder("path/to/this/folder") as embedder:
    queries = embedder.embed_queries(["How deep is the sea?"])
    documents = embedder.embed_documents(
        ["The sea is 3.7 km deep on average.", "Bread is baked from flour and water."]
    )
    print(queries @ documents.T)
```

```sh
e5 verify path/to/this/folder
e5 embed path/to/this/folder documents.txt --role document --output vectors.npy
e5 search path/to/this/folder documents.txt 'How deep is the sea?'
```

Any ONNX program can run `model.onnx`: it takes `input_ids` and `attention_mask` (int64, batch x sequence) \
and gives `sentence_embedding` (float32, batch x dimension, of length 1).

## Recipe

Recipe `e5-instruct`: what stands around a text, as JSON strings. `Embedder` and the command line add it; \
other programs must do so themselves.

```json
{
  "query": "Instruct: {task}\\nQuery: {text}",
  "document": "{text}",
  "default_task": "Given a web search query, retrieve relevant passages that answer the query"
}
```

A text's vector is the mean of its tokens' vectors, scaled to length 1. The model takes 32 tokens, \
templates and special tokens included.

## Parity

68 texts against the checkpoint run by transformers and torch in fp32. A centred cosine is taken after the \
mean vector has been subtracted from both sides.

| measure | value |
| --- | --- |
| largest difference of a component | 1.1e-07 |
| cosine, mean | 1.0000000 |
| cosine, first percentile | 0.9999999 |
| cosine, lowest | 0.9999998 |
| centred cosine, mean | 0.9999997 |
| centred cosine, lowest | 0.9999996 |

## Accuracy

<!-- accuracy:begin -->
No retrieval or similarity figures have been measured for this folder yet.
<!-- accuracy:end -->

## Files

| file | bytes | sha256 |
| --- | --- | --- |
| `model.onnx` | 100,000 | `%(b)s` |
| `model.onnx.data` | 5,900,000 | `%(c)s` |
| `tokenizer.json` | 2,000,000 | `%(d)s` |

Fingerprint `%(fingerprint)s`: pin it with `Embedder(folder, fingerprint=...)`. Folders with the same one \
may share an index.

## Where it comes from

- source: [intfloat/multilingual-e5-large-instruct]\
(https://huggingface.co/intfloat/multilingual-e5-large-instruct), revision `274baa4`
- licence: mit
- sha256 of the weights it was made from: `%(a)s`
- made with e5-onnx 0.1.0, onnx 1.23.2
"""


def changed(**changes):
    return model_card(replace(MANIFEST, **changes))


def test_the_whole_card():
    hashes = {letter: letter * 64 for letter in "abcd"}
    spoken = json.dumps(languages(MANIFEST.source.name, multilingual=True))
    further = {"fingerprint": MANIFEST.fingerprint, "languages": spoken}
    assert model_card(MANIFEST) == EXPECTED % (hashes | further)


@pytest.mark.parametrize(
    ("name", "multilingual", "spoken"),
    [
        ("intfloat/e5-small-v2", False, ("en",)),
        ("my-bert", False, ()),
        ("my-multilingual-bert", False, ("multilingual",)),
        ("my-bert", True, ("multilingual",)),
    ],
)
def test_languages(name, multilingual, spoken):
    assert languages(name, multilingual=multilingual) == spoken


def test_the_languages_of_multilingual_e5():
    spoken = languages("intfloat/multilingual-e5-small", multilingual=True)
    assert len(spoken) == len(set(spoken)) == 94
    assert {"de", "no", "sr", "zh", "multilingual"} < set(spoken)
    assert all(len(code) == 2 for code in spoken[1:])


def test_a_card_gets_its_library_once():
    card = model_card(MANIFEST)
    older = card.replace("library_name: onnx\n", "")
    assert with_library(card) == card
    assert with_library(older) == older.replace("---\n", "---\nlibrary_name: onnx\n", 1)
    assert with_library("# By hand\n") == "# By hand\n"


def test_the_order_of_files_does_not_matter():
    assert changed(files=dict(reversed(MANIFEST.files.items()))) == model_card(MANIFEST)


def test_a_local_folder_has_no_base_model_and_no_language():
    card = changed(source=Source("my-bert", None, None, "a" * 64, "a note"), architecture=BERT)
    front, _, body = card[4:].partition("\n---\n")
    assert [line.split(":")[0] for line in front.splitlines() if ":" in line] == [
        "library_name",
        "pipeline_tag",
        "tags",
    ]
    assert "# my-bert as ONNX" in body
    assert "huggingface.co" not in body
    assert "- source: `my-bert`\n- note: a note\n- licence: not stated\n" in body


def test_a_licence_cannot_write_front_matter_of_its_own():
    card = changed(source=replace(MANIFEST.source, license='x"\ntags: [y]'))
    assert card.splitlines()[1] == r'license: "x\"\ntags: [y]"'


@pytest.mark.parametrize("precision", ["int8", "int4", "int8-stock"])
def test_a_quantised_folder_says_so_to_the_hub(precision):
    card = changed(precision=precision)
    assert "\nbase_model_relation: quantized\n" in card
    assert f"\n- {precision}\n---\n" in card


def test_templates_are_byte_exact():
    recipe = Recipe("custom", " a |`\t{text}\u00a0é\n", '"{text}\\')
    assert '{\n  "query": " a |`\\t{text}\u00a0é\\n",\n  "document": "\\"{text}\\\\"\n}' in changed(
        recipe=recipe
    )


def test_a_task_without_a_default_must_be_given():
    card = changed(recipe=Recipe("custom", "{task}: {text}", "{text}"))
    assert 'embed_queries(["How deep is the sea?"], task="...")' in card
    assert "'How deep is the sea?' --task '...'" in card
    assert "task=" not in changed(recipe=PLAIN)


def test_an_unchecked_folder_says_so():
    card = changed(parity=Parity(checked=False, reference="none"))
    assert "## Parity\n\nThe vectors were **not** compared with a reference.\n\n## Accuracy" in card


def test_what_was_not_measured_has_no_row():
    card = changed(parity=replace(MANIFEST.parity, centred_cosine_mean=None, centred_cosine_min=None))
    assert "centred cosine, " not in card


def test_a_reference_with_no_sentence_of_its_own_is_named():
    assert "68 texts against the fp32 graph." in changed(
        parity=replace(MANIFEST.parity, reference="the fp32 graph")
    )


def test_a_baseline_warns():
    assert "> This is a baseline to compare with" in changed(precision="int8-stock", baseline=True)
    assert "baseline" not in changed(precision="int8")


@pytest.mark.parametrize(
    ("precision", "note", "flatters"),
    [("int4", "dequantised Q4_0, for demonstration", True), ("int4", None, False), ("int8", "Q4_0", False)],
)
def test_figures_on_a_4_bit_grid_are_said_to_flatter(precision, note, flatters):
    card = changed(precision=precision, source=replace(MANIFEST.source, note=note))
    assert ("flatter" in card) is flatters


def test_linears_kept_in_fp32_are_named():
    card = changed(precision="int8", extra={"kept_in_fp32": ["layer.3.ffn_out", "layer.0.qkv"]})
    assert "Kept in fp32, being the most sensitive: `layer.3.ffn_out`, `layer.0.qkv`." in card
    assert "Kept in fp32" not in changed(precision="int8", extra={"kept_in_fp32": []})


class TestMergeAccuracy:
    def test_the_table_takes_the_place_of_what_stood_there(self):
        card = model_card(MANIFEST)
        once = merge_accuracy(card, "| a |\n| --- |\n| 1 |\n")
        assert f"## Accuracy\n\n{ACCURACY_BEGIN}\n| a |\n| --- |\n| 1 |\n{ACCURACY_END}\n\n## Files" in once
        assert "have been measured" not in once
        assert merge_accuracy(once, "| a |\n| --- |\n| 1 |") == once
        assert (
            merge_accuracy(once, "No retrieval or similarity figures have been measured for this folder yet.")
            == card
        )

    @pytest.mark.parametrize("card", ["# mine\n", f"# mine\n{ACCURACY_BEGIN}\nopen\n"])
    def test_a_card_without_room_gets_it(self, card):
        found = merge_accuracy(card, "table")
        assert found == f"{card.rstrip()}\n\n## Accuracy\n\n{ACCURACY_BEGIN}\ntable\n{ACCURACY_END}\n"
