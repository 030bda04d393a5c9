"""The published numbers of published.csv: a row each, with its protocol and source."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PUBLISHED = Path(__file__).with_name("published.csv")
CLASSIFICATION, LOCALISATION = "ilsvrc_classification", "ilsvrc_localisation"


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One published number, in % as printed, and what its source states of the protocol.

    The points of a protocol are text, as a record's settings are in tables ("256 384 512", "yes");
    an empty one was not stated. Of several networks the texts are joined by "+".
    """

    benchmark: str
    metric: str
    value: float  # %
    spread: float | None = None  # over the splits, in percent points
    source: str  # the publication and its table
    table: str = ""  # number of the table in Simonyan & Zisserman (2014)
    kind: str = "very deep"  # "earlier", "best shallow", "very deep" or "later"
    method: str
    network: str = ""  # empty for other people's methods
    weights: str = ""
    train_scales: str = ""  # S of each network
    scales: str = ""  # Q; of several networks on ILSVRC the list of each
    view: str = ""
    aggregate: str = ""
    mirror: str = ""
    regressor: str = ""
    tuned: str = ""
    classifier: str = ""
    classes: str = ""
    train_per_class: str = ""
    test_per_class: str = ""
    trained_on: str = ""
    scored_on: str = ""
    set: str = ""  # pictures of ILSVRC: "val", "test" or, one number for both, "val/test"
    splits: str = ""
    images: str = ""
    notes: str = ""


@cache
def read_published() -> tuple[PublishedRow, ...]:
    """Every row of published.csv, in the order of the file; an empty cell was not stated."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return tuple(_row(line) for line in csv.DictReader(file))


def _row(line: dict[str, str]) -> PublishedRow:
    spread = float(line["spread"]) if line["spread"] else None
    return PublishedRow(**line | {"value": float(line["value"]), "spread": spread})
