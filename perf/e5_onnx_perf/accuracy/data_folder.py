"""Where the test data comes from: a folder of the caller's, or the data sets' public homes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Protocol

from e5_onnx.errors import MissingExtraError
from e5_onnx.model_folder.digest import file_sha256
from e5_onnx_perf.errors import DataError, DownloadError

SUMS: Final = "SHA256SUMS"
_PUBLISHED: Final = "published.sha256"


@dataclass(frozen=True, slots=True)
class Home:
    """The address of a data set's files, at a commit that does not change.

    Attributes:
        folder: Their folder in a data folder.
        url: The address without the files' names.
    """

    folder: str
    url: str


HOMES: Final = (
    Home(
        "stsb",
        "https://raw.githubusercontent.com/PhilipMay/stsb-multi-mt/"
        "30de0dec4ee199b7f42351d3f1a0b19592955385/data/",
    ),
    Home(
        "tatoeba",
        "https://raw.githubusercontent.com/facebookresearch/LASER/"
        "74bc6ae7ffb7cba670fe0f428d0ede9f666fb821/data/tatoeba/v1/",
    ),
)


class DataFiles(Protocol):
    """Test data by name, such as `stsb/stsb-de-test.csv`."""

    def find(self, name: str) -> Path:
        """Returns a file whose hash is right.

        Raises:
            DataError: If it is missing or its hash is wrong.
        """


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder that holds stsb/ and tatoeba/, and SHA256SUMS unless its files are the published ones.

    Attributes:
        path: The folder.
    """

    path: Path

    def find(self, name: str) -> Path:
        """Returns a file whose hash is right.

        Raises:
            DataError: If it is missing or its hash is wrong.
        """
        file = self.path / name
        if not file.is_file():
            raise DataError(
                str(file),
                f"there is no such file: `data` names the folder that holds {name.partition('/')[0]}/",
            )
        _compare_hash(file, name, self.path / SUMS)
        return file


@dataclass(frozen=True, slots=True)
class DownloadedData:
    """The published files, each downloaded when it is first asked for, and kept.

    Attributes:
        cache: The folder for downloads.
        homes: The addresses of the data sets.
    """

    cache: Path
    homes: tuple[Home, ...] = HOMES

    def find(self, name: str) -> Path:
        """Returns a file whose hash is right, from the cache if it is there.

        Raises:
            DataError: If there is no such file.
            DownloadError: If it is not there and cannot be downloaded.
            MissingExtraError: If pooch is not installed.
        """
        folder, _, base = name.partition("/")
        home = next((home for home in self.homes if home.folder == folder), None)
        if home is None or name not in published():
            raise DataError(name, "it is not among the published files")
        try:
            import pooch
        except ImportError as error:
            raise MissingExtraError("perf", "pooch") from error
        pooch.get_logger().setLevel("WARNING")
        try:
            found = pooch.retrieve(
                home.url + base, f"sha256:{published()[name]}", fname=base, path=self.cache / folder
            )
        # requests' errors are OSErrors; a wrong hash is a ValueError.
        except (OSError, ValueError) as error:
            raise DownloadError(home.url + base, str(error)) from error
        return Path(found)


def _compare_hash(file: Path, name: str, sums: Path) -> None:
    own = sums.is_file()
    known = read_sums(sums.read_text("utf-8")) if own else published()
    if name not in known:
        raise DataError(name, f"{SUMS} has no hash of it" if own else f"without {SUMS} its hash is not known")
    found = file_sha256(file)
    if found != known[name]:
        raise DataError(name, f"its sha256 is {found}, {SUMS if own else 'its publisher'} says {known[name]}")


@cache
def published() -> dict[str, str]:
    """The sha256 of every published file, by name."""
    return read_sums(files(__package__).joinpath(_PUBLISHED).read_text("utf-8"))


def read_sums(text: str) -> dict[str, str]:
    """Reads what `sha256sum` writes: digests by name."""
    lines = (line.partition(" ") for line in text.splitlines())
    return {path.strip().removeprefix("*").removeprefix("./"): digest for digest, _, path in lines}


def open_data(data: Path | None, cache: Path) -> DataFiles:
    """Opens a folder of the caller's, or the published files.

    Args:
        data: A folder laid out like the published files, or None to download these.
        cache: The folder for downloads.

    Raises:
        DataError: If there is no such folder.
    """
    if data is None:
        return DownloadedData(cache)
    if not data.is_dir():
        raise DataError(
            str(data), "there is no such folder: `data` names the one that holds stsb/ and tatoeba/"
        )
    return DataFolder(data)
