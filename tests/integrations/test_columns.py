"""Columns of pyarrow, pandas and polars as texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.errors import InputError

pytestmark = pytest.mark.reference

TEXTS = ["moon over the city", "", "tea", "moon over the city"]
WITH_NULL = ["moon", None, "tea"]
TYPES = ["string", "large_string", "string_view"]


def arrow_array(texts: list[Any], kind: str) -> Any:
    import pyarrow as pa

    return pa.array(texts, getattr(pa, kind)())


def arrow_chunks(texts: list[Any], kind: str) -> Any:
    import pyarrow as pa

    column = pa.chunked_array([arrow_array(texts[:1], kind), arrow_array(texts[1:], kind)])
    return pa.table({"text": column})["text"]


def arrow_dictionary(texts: list[Any], kind: str) -> Any:
    return arrow_array(texts, kind).dictionary_encode()


def pandas_series(texts: list[Any], kind: Any) -> Any:
    import pandas as pd

    return pd.Series(texts, index=range(5, 5 + len(texts)), dtype=kind)


def pandas_arrow(texts: list[Any], kind: str) -> Any:
    import pandas as pd
    import pyarrow as pa

    return pandas_series(texts, pd.ArrowDtype(getattr(pa, kind)()))


def polars_series(texts: list[Any]) -> Any:
    import polars as pl

    return pl.DataFrame({"text": texts})["text"]


COLUMNS: dict[str, Callable[[list[Any]], Any]] = {
    **{f"pa.array {kind}": partial(arrow_array, kind=kind) for kind in TYPES},
    **{f"pa.chunked_array {kind}": partial(arrow_chunks, kind=kind) for kind in TYPES},
    "pa.dictionary": lambda texts: arrow_dictionary(texts, "string"),
    "scalars of pyarrow": lambda texts: list(arrow_array(texts, "string")),
    "pd.Series of objects": lambda texts: pandas_series(texts, object),
    "pd.Series str": lambda texts: pandas_series(texts, "str"),
    "pd.StringDtype": lambda texts: pandas_series(texts, "string"),
    "pd.StringDtype python": lambda texts: pandas_series(texts, "string[python]"),
    "pd.StringDtype pyarrow": lambda texts: pandas_series(texts, "string[pyarrow]"),
    "pd.ArrowDtype string": lambda texts: pandas_arrow(texts, "string"),
    "pd.ArrowDtype large_string": lambda texts: pandas_arrow(texts, "large_string"),
    "pd.Categorical": lambda texts: pandas_series(texts, "category"),
    "pd.Series.array": lambda texts: pandas_arrow(texts, "string").array,
    "pd.Index": lambda texts: pandas_series(texts, "string").set_axis(texts).index,
    "pl.Series": polars_series,
    "np.dtypes.StringDType": lambda texts: np.array(texts, np.dtypes.StringDType(na_object=None)),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_gives_the_vectors_of_its_texts(name: str, model: Embedder) -> None:
    column = COLUMNS[name](TEXTS)
    expected = model.embed_documents(TEXTS)
    np.testing.assert_allclose(model.embed_documents(column), expected, atol=2e-6)
    np.testing.assert_allclose(np.stack(list(model.stream_documents(column))), expected, atol=2e-6)
    assert model.count_tokens(column, role="document").shape == (4,)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_null_is_named_by_its_number(name: str, model: Embedder) -> None:
    column = COLUMNS[name](WITH_NULL)
    for call in (model.embed_documents, lambda texts: list(model.stream_documents(texts))):
        with pytest.raises(InputError, match=r"^text 1 is \w+, not str"):
            call(column)


def test_a_table_is_not_taken_for_its_columns(model: Embedder) -> None:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    values = {"text": TEXTS}
    for table in (pd.DataFrame(values), pl.DataFrame(values), pl.LazyFrame(values), pa.table(values)):
        with pytest.raises(InputError, match=r"^texts is \w+; it must be .* or one column of a table"):
            model.embed_documents(table)


def test_numbers_are_named_as_what_they_are(model: Embedder) -> None:
    import pandas as pd
    import pyarrow as pa

    for column in (pa.array([1, 2]), pa.array([b"a"]), pd.Series([1, 2]), pd.Series([b"a"]), np.array([1])):
        with pytest.raises(InputError, match=r"^text 0 is (int|int64|bytes), not str"):
            model.embed_documents(column)
