"""Small test sets in the layout of the published ones, written for the tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

STS = {
    "de": [
        ("Ein Hund schläft.", "Ein Hund ruht sich aus.", 4.2),
        ("Es regnet.", "Die Sonne scheint.", 0.8),
        ("Zwei Kinder spielen Ball.", "Kinder spielen mit einem Ball.", 4.8),
        ("Sie liest ein Buch.", "Er repariert ein Rad.", 0.2),
        ("Das Brot ist frisch.", "Das Brot wurde heute gebacken.", 3.5),
        ("Der Zug kommt spät.", "Der Zug ist unpünktlich.", 4.4),
    ],
    "en": [
        ("A dog is sleeping.", "A dog is resting.", 4.2),
        ("It rains.", "The sun shines.", 0.8),
        ("Two children play ball.", "Children play with a ball.", 4.8),
        ("She reads a book.", "He mends a bicycle.", 0.2),
        ("The bread is fresh.", "The bread was baked today.", 3.5),
        ("The train is late.", "The train is not on time.", 4.4),
    ],
}
TATOEBA = {
    "deu": [
        ("Guten Morgen.", "Good morning."),
        ("Wo ist der Bahnhof?", "Where is the station?"),
        ("Ich mag Tee.", "I like tea."),
        ("Das Wasser ist kalt.", "The water is cold."),
        ("Wie spät ist es?", "What time is it?"),
    ],
    "swh": [
        ("Habari ya asubuhi.", "Good morning."),
        ("Ninapenda chai.", "I like tea."),
        ("Maji ni baridi.", "The water is cold."),
        ("Ninaenda sokoni.", "I am going to the market."),
    ],
}
QUESTIONS = [
    (
        "Bread is made from flour, water, salt and yeast.",
        ["What is bread made from?", "Does bread hold salt?"],
    ),
    ("The Moon moves the tides of the sea.", ["What moves the tides?"]),
    ("Bees live in hives and make honey from nectar.", ["Who makes honey?", "Where do bees live?"]),
]


def write_data(folder: Path) -> Path:
    """Writes stsb/, tatoeba/ and SHA256SUMS."""
    for language, rows in STS.items():
        lines = [f'"{left}","{right}",{score}\n' for left, right, score in rows]
        add_file(folder, f"stsb/stsb-{language}-test.csv", "".join(lines))
    for code, pairs in TATOEBA.items():
        for place, ending in enumerate((code, "eng")):
            text = "".join(f"{pair[place]}\n" for pair in pairs)
            add_file(folder, f"tatoeba/tatoeba.{code}-eng.{ending}", text)
    return folder


def add_file(folder: Path, name: str, content: str | bytes) -> Path:
    """Writes a file and its hash, in place of what was there."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    written = content.encode() if isinstance(content, str) else content
    file.write_bytes(written)
    sums = folder / "SHA256SUMS"
    others = (
        [line for line in sums.read_text().splitlines() if not line.endswith(name)] if sums.is_file() else []
    )
    sums.write_text("\n".join([*others, f"{hashlib.sha256(written).hexdigest()}  ./{name}", ""]))
    return file


def write_questions(file: Path) -> Path:
    """Writes a file in SQuAD's format."""
    paragraphs = [
        {
            "context": context,
            "qas": [{"id": f"{number}-{index}", "question": asked} for index, asked in enumerate(questions)],
        }
        for number, (context, questions) in enumerate(QUESTIONS)
    ]
    file.write_text(json.dumps({"data": [{"title": "things", "paragraphs": paragraphs}]}), "utf-8")
    return file
