"""A task in a language: its texts, what a model makes of them, and the scores of that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from e5_onnx.inference.encoded import Encoded
from e5_onnx_perf.accuracy import scores
from e5_onnx_perf.accuracy.instructions import Side, Sides, TaskName
from e5_onnx_perf.accuracy.languages import ENGLISH, Language
from e5_onnx_perf.accuracy.squad import Questions
from e5_onnx_perf.accuracy.statistics import Mean, RankCorrelation, Statistic
from e5_onnx_perf.accuracy.stsb import Pairs
from e5_onnx_perf.accuracy.tatoeba import Translations

Observation = Mapping[str, NDArray[Any]]


class Encode(Protocol):
    """A model, as a unit uses it."""

    def __call__(self, texts: Sequence[str], side: Side) -> Encoded:
        """Embeds texts, in order."""


@dataclass(frozen=True, slots=True)
class Score:
    """One figure of a unit.

    Attributes:
        language: The language of the items: `de`, or `deu-eng` for finding the English translation of German.
        metric: `spearman`, `accuracy`, `f1`, `ndcg@10`, `hit@1` or `mrr@10`.
        statistic: The function that computes it.
    """

    language: str
    metric: str
    statistic: Statistic


class Unit(Protocol):
    """A task in a language."""

    @property
    def task(self) -> TaskName:
        """The task's name."""

    @property
    def language(self) -> str:
        """The language's short code."""

    @property
    def clusters(self) -> Sequence[str]:
        """The cluster of each item: it is drawn whole when items are resampled, in all languages at once."""

    def texts(self) -> list[tuple[Sequence[str], Side]]:
        """Every text that will be embedded, with how it is given."""

    def digest(self) -> str:
        """Sha256 over all that decides the observation, but the model."""

    def observe(self, encode: Encode) -> Observation:
        """A model's observation of the texts: small arrays that are kept."""

    def scores(self, observation: Observation) -> list[Score]:
        """The figures of what was observed."""


@dataclass(frozen=True, slots=True)
class StsUnit:
    """Pairs of sentences: does the cosine order them as people do?"""

    language: str
    pairs: Pairs
    sides: Sides
    task: TaskName = "sts"

    @property
    def clusters(self) -> Sequence[str]:
        """Pairs with the same number are translations of each other."""
        return [str(number) for number in range(len(self.pairs.scores))]

    def texts(self) -> list[tuple[Sequence[str], Side]]:
        """First sentences and second ones."""
        return [(self.pairs.left, self.sides.first), (self.pairs.right, self.sides.second)]

    def digest(self) -> str:
        """Sha256 over texts and how they are given."""
        return digest(self)

    def observe(self, encode: Encode) -> Observation:
        """The cosine of each pair."""
        left, right = (encode(texts, side).vectors for texts, side in self.texts())
        return {"cosine": scores.cosines(left, right)}

    def scores(self, observation: Observation) -> list[Score]:
        """Spearman's correlation."""
        return [Score(self.language, "spearman", RankCorrelation(observation["cosine"], self.pairs.scores))]


@dataclass(frozen=True, slots=True)
class BitextUnit:
    """Sentences and their translations: is each other's nearest?"""

    of: Language
    translations: Translations
    sides: Sides
    task: TaskName = "bitext"

    @property
    def language(self) -> str:
        """The language's short code."""
        return self.of.short

    @property
    def clusters(self) -> Sequence[str]:
        """Languages share English sentences."""
        return self.translations.english

    def texts(self) -> list[tuple[Sequence[str], Side]]:
        """Sentences and translations."""
        return [
            (self.translations.other, self.sides.first),
            (self.translations.english, self.sides.second),
        ]

    def digest(self) -> str:
        """Sha256 over texts and how they are given."""
        return digest(self)

    def observe(self, encode: Encode) -> Observation:
        """The nearest sentence to each one, both ways."""
        other, english = (encode(texts, side).vectors for texts, side in self.texts())
        return {
            "to_english": scores.nearest(other, english),
            "from_english": scores.nearest(english, other),
        }

    def scores(self, observation: Observation) -> list[Score]:
        """Accuracy and F1, both ways."""
        code, english = self.of.tatoeba, ENGLISH.tatoeba
        ways = {f"{code}-{english}": "to_english", f"{english}-{code}": "from_english"}
        metrics = {"accuracy": scores.accuracy_items, "f1": scores.f1_items}
        return [
            Score(way, metric, Mean(items(observation[name])))
            for way, name in ways.items()
            for metric, items in metrics.items()
        ]


@dataclass(frozen=True, slots=True)
class RetrievalUnit:
    """Questions and paragraphs: does the paragraph that answers come first?"""

    language: str
    questions: Questions
    sides: Sides
    task: TaskName = "retrieval"

    @property
    def clusters(self) -> Sequence[str]:
        """Questions to the same paragraph are drawn together."""
        return self.questions.clusters

    def texts(self) -> list[tuple[Sequence[str], Side]]:
        """Questions and paragraphs."""
        return [(self.questions.questions, self.sides.first), (self.questions.documents, self.sides.second)]

    def digest(self) -> str:
        """Sha256 over texts, how they are given, and which question belongs to which paragraph."""
        return digest(self, self.questions.relevant)

    def observe(self, encode: Encode) -> Observation:
        """The rank of each question's paragraph."""
        questions, documents = (encode(texts, side).vectors for texts, side in self.texts())
        relevant = np.array(self.questions.relevant, np.int64)
        return {"rank": scores.ranks_of_relevant(questions, documents, relevant)}

    def scores(self, observation: Observation) -> list[Score]:
        """nDCG@10, hit@1 and MRR@10."""
        metrics = {"ndcg@10": scores.ndcg_items, "hit@1": scores.hit_items, "mrr@10": scores.mrr_items}
        ranks = observation["rank"]
        return [Score(self.language, metric, Mean(items(ranks))) for metric, items in metrics.items()]


def digest(unit: Unit, *more: object) -> str:
    """Sha256 over a unit's texts, how they are given, and what else decides what is observed."""
    named = [unit.task, unit.language, *more]
    for texts, side in unit.texts():
        named.append([side.role, side.task, list(texts)])
    return hashlib.sha256(json.dumps(named, ensure_ascii=False).encode()).hexdigest()
