"""May two numbers be compared? The points in which a measurement can differ from the published one.

For each kind of record there is a list of points. A decisive one makes a number "not comparable":
other classes or other test pictures answer another question. Any other makes it "near". Without
differences it is the "same", as far as the publication states its protocol.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vggfeat.plurals import counted, leaks_text
from vggfeat.records.record import Record
from vggfeat.report.published import PublishedRow
from vggfeat.report.settings import assumptions, feature_setting, is_pillow, net_options, stated

SAME, NEAR, NOT_COMPARABLE = "same", "near", "not comparable"
MARKS = {SAME: "=", NEAR: "~", NOT_COMPARABLE: "x", "": ""}
LEGEND = "Marks: = same protocol as published, ~ near, x not comparable."
# The published nets ran in Caffe, whose pooling rounds up: they are this net of ours.
CAFFES_POOLING = "ceil_mode=true"
USUAL = {"view": "dense", "classifier": "linear SVM"}  # of records that do not say
ILSVRC = {"classes": 1000, "images": 50_000, "set": "val"}
ILSVRC_TRAINING = {"classes": 1000, "train": 1_281_167, "validation": 50_000}
PAPER_NET = {"width": 1.0, "input_size": 224}  # options that make another net of it

Differences = Iterable[str]


@dataclass(frozen=True)
class Verdict:
    """How a measurement stands to a published number, and for what reasons."""

    comparison: str  # "same", "near", "not comparable", or empty: nothing to compare with
    reasons: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """The character that a table prints behind the measured number."""
        return MARKS[self.comparison]

    @property
    def note(self) -> str:
        """The reasons as a note of a table; empty if there are none."""
        if not self.reasons:
            return ""
        comparison = f"{self.comparison}: " if self.comparison else ""
        return f"{comparison}{'; '.join(self.reasons)}."


@dataclass(frozen=True)
class Point:
    """Something in which a record can differ from what was published."""

    name: str
    is_decisive: bool
    differences: Callable[[Any, Any], Differences]  # of record and published, in words
    is_fine: bool = False  # of interest only where nothing decisive differs


def judge(points: Sequence[Point], record: Any, published: Any) -> Verdict:
    """The verdict on a record by these points; published is passed to them as it is."""

    def differences(*, decisive: bool, fine: bool) -> list[str]:
        chosen = (p for p in points if p.is_decisive == decisive and (fine or not p.is_fine))
        return [text for point in chosen for text in point.differences(record, published)]

    decisive = differences(decisive=True, fine=True)
    minor = differences(decisive=False, fine=not decisive)
    if decisive:
        return Verdict(NOT_COMPARABLE, (*decisive, *minor))
    return Verdict(NEAR if minor else SAME, tuple(minor))


# Of any record


def _limited(record: Record, published: Any) -> Differences:
    if record.limited:
        yield "LIMITED to a part of the pictures"
    if shots := record.protocol.get("shots"):
        yield f"few examples: {counted(shots, 'training picture')} a class"


def _incomplete(record: Record, published: Any) -> Differences:
    if sets := record.protocol.get("incomplete"):
        yield f"not the whole dataset: {sets} pictures"


def _random_weights(record: Record, published: Any) -> Differences:
    if any(net["weights"].startswith("random:") for net in record.nets):
        yield "random weights"


def _skipped(record: Record, published: Any) -> Differences:
    if record.skipped:
        yield f"skipped pictures: {len(record.skipped)}"


def _assumed_statistics(record: Record, published: Any) -> Differences:
    yield from assumptions(record)


def flaws(record: Record) -> list[str]:
    """What makes a number too good, or of fewer pictures than there are, in words."""
    return [*_incomplete(record, None), *_leaks(record, None), *_skipped(record, None)]


# Of records of transfer


def _protocol(name: str, record: Record, published: PublishedRow) -> Differences:
    """A point of the protocol that the publication states."""
    measured = stated(record.protocol.get(name, USUAL.get(name)))
    theirs = stated(getattr(published, name))
    if theirs and measured != theirs:
        left_out = record.protocol.get("left_out") if name == "classes" else None
        without = f" (without {', '.join(left_out)})" if left_out else ""
        yield f"{name.replace('_', ' ')} {measured}{without}, published {theirs}"


def _images_as_training(record: Record, published: PublishedRow) -> Differences:
    """Without a number a class the number of pictures decides how many are trained on."""
    return () if published.train_per_class else _protocol("images", record, published)


def _images(record: Record, published: PublishedRow) -> Differences:
    return _protocol("images", record, published) if published.train_per_class else ()


def _metric(record: Record, published: PublishedRow) -> Differences:
    if published.metric not in record.metrics:
        yield f"metric {record.metric}, published {published.metric}"


def _headline(record: Record, published: PublishedRow) -> Differences:
    if published.metric != record.metric and published.metric in record.metrics:
        yield f"compared in {published.metric}, the rule of the published number"


def _exif(record: Record, published: PublishedRow) -> Differences:
    if feature_setting(record, "exif") == "True":
        yield "pictures turned by their EXIF orientation"


def _decoder(record: Record, published: PublishedRow) -> Differences:
    if not is_pillow(record):
        yield "large JPEGs decoded smaller"


def _weights(record: Record, published: PublishedRow) -> Differences:
    if is_same_net(record, published):
        names = (net.get("original") or net["weights"] for net in record.nets)
        weights = " and ".join(dict.fromkeys(names))
        if weights != published.weights:
            yield f"weights {weights}, published {published.weights}"


def _pooling(record: Record, published: PublishedRow) -> Differences:
    rounds_down = any(
        net.get("original") and CAFFES_POOLING not in net_options(net["name"])
        for net in record.nets
    )
    if rounds_down and is_same_net(record, published):
        yield "pooling rounds down, the published nets' up (ceil_mode=true)"


def _later_protocol(record: Record, published: PublishedRow) -> Differences:
    if published.kind == "later" and is_same_net(record, published):
        yield f"the published protocol: {published.notes}"


def _leaks(record: Record, published: PublishedRow) -> Differences:
    if leaks := record.protocol.get("leaks"):
        yield leaks_text(leaks)


def is_same_net(record: Record, published: PublishedRow) -> bool:
    """Whether the published row is of the record's nets, in any order.

    Later rows are of one network with the weights of many, so there the weights must be the same.
    """
    nets = sorted(_published_name(net["name"]) for net in record.nets)
    weights = {net["weights"] for net in record.nets}
    return sorted(published.network.split("+")) == nets and (
        published.kind != "later" or weights == {published.weights}
    )


def is_same_probe(record: Record, published: PublishedRow) -> bool:
    """Whether the published number is of the record's kind of classifier, if it states one.

    What another classifier reached says nothing of it.
    """
    return published.classifier in ("", record.protocol.get("classifier", USUAL["classifier"]))


def _published_name(name: str) -> str:
    """A net as a published row would name it: how it sees pictures is a point of the protocol."""
    options = [
        option
        for option in net_options(name)
        if option not in ("", CAFFES_POOLING) and not option.startswith("view=")
    ]
    base = name.partition(":")[0]
    return f"{base}:{','.join(options)}" if options else base


def _protocol_points(*names: str, is_decisive: bool) -> tuple[Point, ...]:
    return tuple(Point(name, is_decisive, partial(_protocol, name)) for name in names)


# Of records of `evaluate` and `localise`; published holds the S of the configuration's nets, or is
# None where nothing was published of it


def _ilsvrc_pictures(name: str, record: Record, published: Any) -> Differences:
    value, theirs = record.protocol[name], ILSVRC[name]
    if value != theirs:
        of = f" of {record.title}" if name == "images" else ""
        yield f"{name} {value}{of}, published {theirs}"


def _some_classes(record: Record, published: Any) -> Differences:
    if present := record.protocol.get("classes_present"):
        yield f"pictures of {present} of the nets' {record.protocol['classes']} classes"
    if skipped := record.protocol.get("classes_skipped"):
        yield f"pictures of {counted(skipped, 'other class')} left out"


def _random_classifier(record: Record, published: Any) -> Differences:
    if "random:" in classifier_of(record):
        yield "classes named by random weights"


def _other_net(record: Record, published: Any) -> Differences:
    return (f"net with {option}" for option in _ilsvrc_options(record) if _makes_another(option))


def _changed_net(record: Record, published: Any) -> Differences:
    for option in _ilsvrc_options(record):
        if not _makes_another(option) and option != CAFFES_POOLING:
            yield f"net with {option}"


def _train_scales(record: Record, published: Sequence[str] | None) -> Differences:
    if published is not None and not all(net["train_scale"] for net in record.nets):
        yield f"weights trained otherwise, published S {'+'.join(published)}"


def _classifier(record: Record, published: Any) -> Differences:
    classifier = classifier_of(record)
    if classifier and record.protocol["view"] == "dense":
        yield f"classes named by {classifier}, published by the paper's best nets"


def _ilsvrc_options(record: Record) -> list[str]:
    """The options of all nets, each once."""
    return list(dict.fromkeys(opt for net in record.nets for opt in net_options(net["name"])))


def _makes_another(option: str) -> bool:
    return option.partition("=")[0] in PAPER_NET


def classifier_of(record: Record) -> str:
    """The net that names the classes; a threshold of merging that is not the usual one with it."""
    from vggfeat.box_merging import THRESHOLD  # loads NumPy

    classifier = str(record.protocol.get("classifier") or "")
    threshold = record.protocol.get("merge_threshold")
    is_usual = threshold in (None, THRESHOLD)
    return classifier if is_usual else f"{classifier}, T={float(threshold):g}"


# Of records of `pretrain`, which are plain JSON


def _training_pictures(name: str, record: dict[str, Any], published: Any) -> Differences:
    value, theirs = record["data"][name], ILSVRC_TRAINING[name]
    if value != theirs:
        yield f"{name} {value}, published {theirs}"


def _training_net(name: str, record: dict[str, Any], published: Any) -> Differences:
    value, theirs = record["recipe"][name], PAPER_NET[name]
    if value != theirs:
        yield f"{name} {value}, published {theirs}"


def _training_view(record: dict[str, Any], published: Any) -> Differences:
    yield "view centre, published dense"


# The points

TRANSFER = (
    Point("limited", True, _limited),
    Point("incomplete", True, _incomplete),
    Point("random weights", True, _random_weights),
    Point("metric", True, _metric),
    *_protocol_points("classes", "train_per_class", "trained_on", "scored_on", is_decisive=True),
    Point("images", True, _images_as_training),
    *_protocol_points("test_per_class", "splits", is_decisive=False),
    Point("images", False, _images),
    *_protocol_points("scales", "aggregate", "mirror", "view", is_decisive=False),
    Point("exif", False, _exif),
    Point("decoder", False, _decoder),
    Point("headline", False, _headline),
    Point("weights", False, _weights, is_fine=True),
    Point("pooling", False, _pooling, is_fine=True),
    Point("assumed statistics", False, _assumed_statistics),
    Point("later protocol", False, _later_protocol, is_fine=True),
    Point("leaks", False, _leaks),
    Point("skipped", False, _skipped),
)
ON_ILSVRC = (
    Point("limited", True, _limited),
    Point("random weights", True, _random_weights),
    *(Point(name, True, partial(_ilsvrc_pictures, name)) for name in ILSVRC),
    Point("some classes", True, _some_classes),
    Point("random classifier", True, _random_classifier),
    Point("another net", True, _other_net),
    Point("S", False, _train_scales, is_fine=True),
    Point("changed net", False, _changed_net),
    Point("assumed statistics", False, _assumed_statistics),
    Point("classifier", False, _classifier),
    Point("skipped", False, _skipped),
)
TRAINING = (
    *(Point(name, True, partial(_training_pictures, name)) for name in ILSVRC_TRAINING),
    *(Point(name, True, partial(_training_net, name)) for name in PAPER_NET),
    Point("view", False, _training_view),
)
