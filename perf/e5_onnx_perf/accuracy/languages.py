"""Languages: the codes of STS-B (two letters) and of Tatoeba (three), and what people call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from e5_onnx.errors import OptionError

# Tatoeba's code, the two-letter code of ISO 639-1 where there is one, and the English name (ISO 639-3).
_ROWS: Final = """
afr af Afrikaans|amh am Amharic|ang - Old English|ara ar Arabic|arq - Algerian Arabic|arz - Egyptian Arabic
ast - Asturian|awa - Awadhi|aze az Azerbaijani|bel be Belarusian|ben bn Bengali|ber - Berber|bos bs Bosnian
bre br Breton|bul bg Bulgarian|cat ca Catalan|cbk - Chavacano|ceb - Cebuano|ces cs Czech|cha ch Chamorro
cmn zh Chinese|cor kw Cornish|csb - Kashubian|cym cy Welsh|dan da Danish|deu de German|dsb - Lower Sorbian
dtp - Central Dusun|ell el Greek|epo eo Esperanto|est et Estonian|eus eu Basque|fao fo Faroese
fin fi Finnish|fra fr French|fry fy Western Frisian|gla gd Scottish Gaelic|gle ga Irish|glg gl Galician
gsw - Swiss German|heb he Hebrew|hin hi Hindi|hrv hr Croatian|hsb - Upper Sorbian|hun hu Hungarian
hye hy Armenian|ido io Ido|ile ie Interlingue|ina ia Interlingua|ind id Indonesian|isl is Icelandic
ita it Italian|jav jv Javanese|jpn ja Japanese|kab - Kabyle|kat ka Georgian|kaz kk Kazakh|khm km Khmer
kor ko Korean|kur ku Kurdish|kzj - Coastal Kadazan|lat la Latin|lfn - Lingua Franca Nova|lit lt Lithuanian
lvs lv Latvian|mal ml Malayalam|mar mr Marathi|max - North Moluccan Malay|mhr - Meadow Mari
mkd mk Macedonian|mon mn Mongolian|nds - Low German|nld nl Dutch|nno nn Norwegian Nynorsk
nob nb Norwegian Bokmål|nov - Novial|oci oc Occitan|orv - Old East Slavic|pam - Pampanga|pes fa Persian
pms - Piedmontese|pol pl Polish|por pt Portuguese|ron ro Romanian|rus ru Russian|slk sk Slovak
slv sl Slovenian|spa es Spanish|sqi sq Albanian|srp sr Serbian|swe sv Swedish|swg - Swabian|swh sw Swahili
tam ta Tamil|tat tt Tatar|tel te Telugu|tgl tl Tagalog|tha th Thai|tuk tk Turkmen|tur tr Turkish
tzl - Talossan|uig ug Uyghur|ukr uk Ukrainian|urd ur Urdu|uzb uz Uzbek|vie vi Vietnamese|war - Waray
wuu - Wu Chinese|xho xh Xhosa|yid yi Yiddish|yue - Cantonese|zsm ms Malay
"""


@dataclass(frozen=True, slots=True)
class Language:
    """A language of the data.

    Attributes:
        tatoeba: Its three-letter code.
        short: Its code in results: two letters where there are two, else three.
        name: In English.
    """

    tatoeba: str
    short: str
    name: str


def _read(row: str) -> Language:
    tatoeba, short, name = row.strip().split(" ", 2)
    return Language(tatoeba, tatoeba if short == "-" else short, name)


TATOEBA: Final = tuple(_read(row) for line in _ROWS.strip().splitlines() for row in line.split("|"))
ENGLISH: Final = Language("eng", "en", "English")
_BY_CODE: Final = {
    code: language for language in (*TATOEBA, ENGLISH) for code in (language.tatoeba, language.short)
}


def find_language(code: str) -> Language:
    """The language of a code of two or three letters.

    Raises:
        OptionError: If there is none.
    """
    if code not in _BY_CODE:
        known = ", ".join(sorted({language.short for language in _BY_CODE.values()}))
        raise OptionError("languages", code, f"a code of two or three letters that the data has: {known}")
    return _BY_CODE[code]


def language_name(code: str) -> str:
    """The English name of a language code, or the code itself where the data does not have it."""
    return _BY_CODE[code].name if code in _BY_CODE else code
