"""tokenizer_config.json, special_tokens_map.json and added_tokens.json, worked into tokenizer.json."""

from __future__ import annotations

import json

import pytest
from checkpoint_folders import write_config, write_json
from tiny_models import BERT, ROBERTA, XLM_ROBERTA
from tiny_tokenizers import write_tiny_bert_tokenizer, write_tiny_bpe_tokenizer, write_tiny_tokenizer
from tokenizers import Tokenizer

from e5_onnx_export.checkpoint.tokenizer_file import read_tokenizer
from e5_onnx_export.checkpoint.tokenizer_settings import read_tokenizer_settings
from e5_onnx_export.errors import CheckpointError

SHAPES = {"bert": BERT, "xlm": XLM_ROBERTA, "bpe": ROBERTA}
WRITERS = {"bert": write_tiny_bert_tokenizer, "xlm": write_tiny_tokenizer, "bpe": write_tiny_bpe_tokenizer}
NEW = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def made(folder, kind="bert", *, config=None, special=None, added=None, options=None, edit=None, **more):
    """The effective tokenizer.json of a folder with these files beside it."""
    folder.mkdir(exist_ok=True)
    shape = SHAPES[kind]
    write_config(folder, shape)
    path = WRITERS[kind](folder / "tokenizer.json")
    content = json.loads(path.read_text("utf-8"))
    content["truncation"] = content["padding"] = None
    (edit or (lambda values: None))(content)
    write_json(path, content)
    for name, values in (
        ("tokenizer_config.json", config),
        ("special_tokens_map.json", special),
        ("added_tokens.json", added),
    ):
        if values is not None:
            write_json(folder / name, values)
    settings = read_tokenizer_settings(
        folder, json.loads((folder / "config.json").read_text()), options or {}
    )
    # Two rows of the word table to spare.
    spare = type(shape)(
        **{field: getattr(shape, field) for field in shape.__dataclass_fields__} | {"vocabulary": 302}
    )
    return read_tokenizer(path, settings, architecture=spare, **more)


def tokens(content, text):
    tokenizer = Tokenizer.from_str(content.decode())
    # Not id_to_token: tokenizers 0.23 gives a normalised added token as its normaliser writes it.
    names = {number: name for name, number in tokenizer.get_vocab().items()}
    return [names[number] for number in tokenizer.encode(text).ids]


def normalizer(**values):
    return lambda content: content["normalizer"].update(values)


CASED = normalizer(lowercase=False, strip_accents=None)


@pytest.mark.parametrize(
    ("edit", "config", "text", "expected"),
    [
        (None, {}, "THE tea", ["the", "tea"]),
        (None, {"do_lower_case": False}, "THE tea", ["[UNK]", "tea"]),
        (CASED, {"do_lower_case": True}, "THE tea", ["the", "tea"]),
        # Without a word on it, and without the file, a BertTokenizer makes lower case.
        (CASED, {}, "THE tea", ["the", "tea"]),
        (CASED, None, "THE tea", ["the", "tea"]),
        (CASED, {"tokenizer_class": "PreTrainedTokenizerFast"}, "THE tea", ["[UNK]", "tea"]),
        (CASED, {"tokenizer_class": "DistilBertTokenizer"}, "THE tea", ["the", "tea"]),
        (None, {}, "téa", ["tea"]),
        (None, {"strip_accents": False}, "téa", ["[UNK]"]),
        (normalizer(strip_accents=False), {}, "téa", ["tea"]),
        (None, {"do_lower_case": False, "strip_accents": True}, "téa", ["tea"]),
        (None, {}, "東京", ["東", "京"]),
        (None, {"tokenize_chinese_chars": False}, "東京", ["[UNK]"]),
    ],
)
def test_lower_case_accents_and_chinese(tmp_path, edit, config, text, expected):
    found = tokens(made(tmp_path, edit=edit, config=config), text)
    assert found == ["[CLS]", *expected, "[SEP]"]


@pytest.mark.parametrize("place", ["config", "options"])
def test_sentence_transformers_own_options_come_first(tmp_path, place):
    files = {"config": {"do_lower_case": True}, "options": {}} | {place: {"do_lower_case": False}}
    assert tokens(made(tmp_path, **files), "THE") == ["[CLS]", "[UNK]", "[SEP]"]


def test_sentence_transformers_lower_cases_before_all_else(tmp_path):
    assert tokens(made(tmp_path, "xlm", config={}, lower_case=True), "THE Tea") == [
        "<s>",
        "▁the",
        "▁tea",
        "</s>",
    ]
    content = made(tmp_path, config={"do_lower_case": False}, lower_case=True)
    steps = json.loads(content)["normalizer"]["normalizers"]
    assert [step["type"] for step in steps] == ["Lowercase", "BertNormalizer"]
    twice = made(
        tmp_path, "bpe", edit=lambda values: values.update(normalizer={"type": "Lowercase"}), lower_case=True
    )
    assert json.loads(twice)["normalizer"] == {"type": "Lowercase"}


@pytest.mark.parametrize(
    "files",
    [
        {"config": {"added_tokens_decoder": {"300": {"content": "[QRY]", **NEW}}}},
        {"added": {"[QRY]": 300}},
        # The number in the file is not the one that it gets.
        {"added": {"[QRY]": 555}},
        {"config": {"additional_special_tokens": ["[QRY]"]}},
        {"config": {"extra_special_tokens": ["[QRY]"]}},
        {"config": {"extra_special_tokens": {"query_token": "[QRY]"}}},
        {"special": {"additional_special_tokens": [{"content": "[QRY]"}, "[MASK]"]}},
        {"special": {"mask_token": "[QRY]"}},
        {"config": {"mask_token": {"__type": "AddedToken", "content": "[QRY]", "normalized": False}}},
    ],
)
def test_tokens_that_tokenizer_json_lacks_are_added(tmp_path, files):
    content = made(tmp_path, **files)
    assert tokens(content, "[QRY] tea") == ["[CLS]", "[QRY]", "tea", "[SEP]"]
    assert Tokenizer.from_str(content.decode()).token_to_id("[QRY]") == 300


def test_a_word_of_the_vocabulary_becomes_a_token_of_its_own(tmp_path):
    content = made(tmp_path, config={"additional_special_tokens": ["tea"]})
    assert tokens(content, "ateaa") == ["[CLS]", "a", "tea", "a", "[SEP]"]


def test_the_older_files_are_not_read_where_the_newer_one_lists_the_tokens(tmp_path):
    content = made(
        tmp_path,
        config={"added_tokens_decoder": {"300": {"content": "[A]", **NEW}}},
        special={"additional_special_tokens": ["[B]"]},
        added={"[B]": 301},
    )
    assert "[A]" in tokens(content, "[A] [B]")
    assert "[B]" not in tokens(content, "[A] [B]")


def test_a_token_is_matched_as_the_files_beside_it_say(tmp_path):
    row = {"content": "[MASK]", **NEW}
    for strips in (True, False):
        content = made(tmp_path, config={"added_tokens_decoder": {"4": row | {"rstrip": strips}}})
        (found,) = (token for token in json.loads(content)["added_tokens"] if token["content"] == "[MASK]")
        assert (found["rstrip"], found["normalized"]) == (strips, False)


def test_the_mask_of_robertas_family_takes_the_space_before_it(tmp_path):
    assert tokens(made(tmp_path, "xlm"), "tea <mask>") == ["<s>", "▁tea", "<mask>", "</s>"]
    plain = made(tmp_path, "xlm", config={"tokenizer_class": "PreTrainedTokenizerFast"})
    assert tokens(plain, "tea <mask>") == ["<s>", "▁tea", "▁", "<mask>", "</s>"]


@pytest.mark.parametrize(("config", "first"), [({}, "tea"), ({"add_prefix_space": True}, "Ġtea")])
@pytest.mark.parametrize("stored", [True, False])
def test_the_space_before_a_text_of_robertas(tmp_path, stored, config, first):
    def edit(values):
        values["pre_tokenizer"]["add_prefix_space"] = stored

    assert tokens(made(tmp_path, "bpe", edit=edit, config=config), "tea")[1:-1] == [first]


def test_a_file_that_nothing_changes_stays_as_it_is(tmp_path):
    content = made(tmp_path, config={"tokenizer_class": "BertTokenizer", "model_max_length": 512})
    assert content == (tmp_path / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("kind", "files", "sentence"),
    [
        ("bert", {"config": {"truncation_side": "left"}}, "long texts lose their beginning"),
        (
            "bert",
            {"edit": lambda values: values.update(truncation={"direction": "Left", "max_length": 8})},
            "long texts lose their beginning",
        ),
        ("bert", {"options": {"truncation_side": "left"}}, "long texts lose their beginning"),
        ("bert", {"config": {"padding_side": "left"}}, "padded on the left"),
        (
            "bert",
            {"config": {"split_special_tokens": True}},
            "special tokens in a text are read as its words",
        ),
        ("bert", {"config": {"model_input_names": ["input_ids"]}}, "is given no attention mask"),
        (
            "bert",
            {"config": {"fast_tokenizer_files": ["tokenizer.4.json"]}},
            "several versions of transformers",
        ),
        (
            "bert",
            {"edit": lambda values: values["post_processor"]["single"][1]["Sequence"].update(type_id=1)},
            "token types other than 0",
        ),
        (
            "bert",
            {"config": {"tokenizer_class": "BertJapaneseTokenizer"}},
            "which is Python code in transformers",
        ),
        (
            "bert",
            {"config": {"tokenizer_class": "MyTokenizer"}},
            "set tokenizer_class to PreTrainedTokenizerFast",
        ),
        ("bert", {"config": {"tokenizer_class": 7}}, "tokenizer_class is 7, not a name"),
        (
            "bert",
            {"config": {"additional_special_tokens": ["[1]", "[2]", "[3]"]}},
            r"303 tokens \(the last is '\[3\]'\)",
        ),
        (
            "xlm",
            {"config": {"tokenizer_class": "BertTokenizer"}},
            r"305 tokens \(the last is '\[MASK\]'\) as a Bert",
        ),
        ("bert", {"config": {"added_tokens_decoder": ["[QRY]"]}}, "or a file beside it is not one"),
        ("bert", {"config": {"added_tokens_decoder": {"300": "[QRY]"}}}, "or a file beside it is not one"),
        ("bert", {"added": {"[QRY]": None}}, "or a file beside it is not one"),
        (
            "bert",
            {"config": {"do_lower_case": False}, "added": {"[QRY]": 300}},
            r"the added token '\[QRY\]' is sought in normalised text",
        ),
        (
            "bert",
            {
                "edit": lambda values: values["added_tokens"].append(
                    {"id": 300, "content": "[A]", **NEW, "special": False}
                ),
                "config": {"added_tokens_decoder": {"300": {"content": "[A]", **NEW, "normalized": True}}},
            },
            r"the added token '\[A\]' is sought in plain and in normalised text",
        ),
    ],
)
def test_what_a_tokenizer_json_cannot_say_is_refused(tmp_path, kind, files, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        made(tmp_path, kind, **files)


def test_left_padding_does_not_move_the_positions_of_robertas_family(tmp_path):
    assert tokens(made(tmp_path, "xlm", config={"padding_side": "left"}), "tea") == ["<s>", "▁tea", "</s>"]
