"""Suites: named lists of benchmarks from papers, with what their authors average and how.

A number that the authors average over their sets is averaged over the same sets here or not at
all: suite_table.py prints none where one of them is not measured.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vggfeat.benchmarks.datasets.registry import DATASETS, names_in_paper
from vggfeat.benchmarks.sources.generated import Generated
from vggfeat.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Average:
    """What the authors of a suite average over its benchmarks: `of` takes fractions of one.

    `about` explains the number below a table; `unit` stands behind its name.
    """

    name: str
    of: Callable[[Sequence[float]], float]
    about: str
    unit: str = ""
    number_format: str = ".2f"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A list of benchmarks that a paper measures, and how its numbers differ from those made here.

    `metric` is shown of each benchmark; empty: its own headline. `missing` holds the authors' sets
    that cannot be measured, with the reason; `differs` says where protocols are not the authors'.
    """

    name: str
    title: str
    benchmarks: tuple[str, ...]
    citation: str
    average: Average | None = None
    metric: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    differs: tuple[str, ...] = ()

    @property
    def extent(self) -> str:
        """How many of the authors' sets are measured, such as "11 of 12", or "7"."""
        number = len(self.benchmarks)
        return f"{number} of {number + len(self.missing)}" if self.missing else str(number)


def mean_log_odds(fractions: Sequence[float]) -> float:
    """The mean of ln(p / (1 - p)); infinite or NaN where a fraction is 0 or 1."""
    odds = [
        math.log(p / (1 - p)) if 0 < p < 1 else math.copysign(math.inf, p - 0.5) for p in fractions
    ]
    return sum(odds) / len(odds)


def mean_percent(fractions: Sequence[float]) -> float:
    """The mean in percent."""
    return 100 * sum(fractions) / len(fractions)


PAPER = Suite(
    name="paper",
    title="The paper's benchmarks",
    benchmarks=tuple(names_in_paper()),
    citation="Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image"
    " Recognition, ICLR 2015, appendix B.",
)

# Metrics and splits as SimCLR's appendix B.8.1 (arXiv 2002.05709) states them of the same sets,
# "following the approach described by" Kornblith et al.
KORNBLITH12 = Suite(
    name="kornblith12",
    title="Kornblith et al.'s twelve",
    benchmarks=(
        "food101", "cifar10", "cifar100", "sun397_1", "stanford_cars", "fgvc_aircraft", "voc2007",
        "dtd_1", "oxford_pet", "caltech101", "flowers102",
    ),
    citation="Kornblith, Shlens & Le, Do Better ImageNet Models Transfer Better?, CVPR 2019.",
    average=Average(
        name="mean log odds",
        of=mean_log_odds,
        about="Mean log odds: the mean of ln(p / (1 - p)) over the numbers p above, which the"
        " authors average instead of p, as sets are not equally hard.",
    ),
    missing={"Birdsnap": "the addresses of its pictures no longer lead anywhere"},
    differs=(
        "Classifier: the authors' is multinomial logistic regression on the centre 224 x 224"
        " pixels, with L2 chosen on validation pictures; here it is what --probe, --net and"
        " --scales say.",
        "Caltech-101: theirs is one random split of 30 training pictures a class, tested on all"
        " others; here it is three by default, tested on at most 50 a class, the background a"
        " class.",
    ),
)  # fmt: skip

# As google-research/task_adaptation has it (README.md, docs/benchmark.html, data/caltech.py and
# sun397.py) and TensorFlow Datasets (image_classification/caltech.py and sun.py).
VTAB_NATURAL = Suite(
    name="vtab-natural",
    title="VTAB's natural tasks",
    benchmarks=(
        "caltech101", "cifar100", "dtd_1", "flowers102", "oxford_pet", "svhn", "sun397_1",
    ),
    citation="Zhai et al., A Large-scale Study of Representation Learning with the Visual Task"
    " Adaptation Benchmark, arXiv 1910.04867, 2019.",
    average=Average(
        name="mean accuracy",
        of=mean_percent,
        about="Mean accuracy: VTAB averages top-1 accuracy over tasks. This average must not be"
        " compared with VTAB's.",
        unit=" (%)",
        number_format=".1f",
    ),
    metric="accuracy",
    differs=(
        "VTAB fine-tunes whole nets on 1,000 examples a task or on all of them, by the splits of"
        " TensorFlow Datasets; here a probe is fitted to frozen features by each set's own"
        " protocol.",
        "Caltech-101: VTAB's is one random split of 30 training pictures a class, tested on all"
        " others; here it is three by default, tested on at most 50 a class. SUN397: VTAB's is a"
        " random split into 70, 10 and 20 %; here it is partition 1 of the set's authors.",
    ),
)  # fmt: skip

ALL = Suite(
    name="all",
    title="All datasets",
    benchmarks=tuple(d.name for d in DATASETS if not isinstance(d.source, Generated)),
    citation="Every dataset that is not made here.",
)

SUITES = (PAPER, KORNBLITH12, VTAB_NATURAL, ALL)


def suite_of(name: str) -> Suite:
    """The suite of this name. Raises UnknownNameError."""
    by_name = {suite.name: suite for suite in SUITES}
    if name not in by_name:
        raise UnknownNameError("suite", name, by_name)
    return by_name[name]
