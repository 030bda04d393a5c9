"""Records as tidy data: a row for each record and metric, each column with one meaning and unit.

`vggfeat table --format tidy` writes them as CSV, `--format tidy-json` as a list of objects, and
`read_results` returns them as a DataFrame. COLUMNS says what stands in each column.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vggfeat.records.record import Record, path_of
from vggfeat.report.ilsvrc_results import measured_result, published_results
from vggfeat.report.judge import USUAL, Verdict
from vggfeat.report.published import CLASSIFICATION, LOCALISATION, PublishedRow, read_published
from vggfeat.report.settings import interval_of, later_options, percent, settings_of, stated
from vggfeat.report.transfer import published_of, verdict_on

# Column -> its unit (empty: none) and meaning. Settings are text, empty where one does not apply.
COLUMNS: Mapping[str, tuple[str, str]] = {
    "benchmark": ("", "the benchmark, as `vggfeat datasets ls` names it"),
    "title": ("", "the benchmark as tables name it"),
    "net": ("", "the net, or several joined by +, with options and without weights"),
    "weights": ("", "the weights of each net, joined by +"),
    "method": ("", "the nets as tables show them: the name given by --net, else net@weights"),
    "splits": ("", "number of splits"),
    "test_images": ("", "test pictures of all splits together"),
    "scales": ("pixels", "the shortest sides at which pictures were seen, separated by spaces"),
    "aggregate": ("", "how scales were combined: average, stack or max"),
    "scale_l2": ("", "whether descriptors were normalised before scales were combined: yes or no"),
    "mirror": ("", "whether mirrored pictures were averaged in: yes or no"),
    "seed": ("", "seed of the random splits"),
    "images": ("", "pictures of the dataset"),
    "background": ("", "whether the background class counts: yes or no"),
    "difficult": ("", "what difficult pictures of VOC are in training"),
    "box_margin": ("", "margin around a person's box, as a share of its sides"),
    "exif": ("", "whether pictures were turned by their EXIF orientation: True or False"),
    "precision": ("", "what nets were computed in: fp32 or bf16"),
    "dtype": ("", "what descriptors were stored in: float32 or float16"),
    "solver": ("", "solver of the linear SVMs"),
    "probe": ("", "what was fitted to the features; absent where all are SVMs"),
    "decoder": ("", "how JPEGs were decoded; absent where all are decoded whole"),
    "shots": ("", "training pictures drawn for a class; absent where all of them train"),
    "view": ("", "what of a picture the net saw: dense, centre, corners, resized, crops or both"),
    "train_scales": ("pixels", "S of each net, on ILSVRC, joined by +"),
    "metric": ("", "mean_class_recall, accuracy, map_11pt, map_area, map_step or an error"),
    "value": ("%", "the value of the metric: the mean over the splits"),
    "spread": ("percent points", "sample standard deviation over the splits; none for one split"),
    "split_1": ("%", "the value on the first split; split_2, ... are those of the others"),
    "low": ("%", "lower end of the 95 % interval, with --intervals"),
    "high": ("%", "upper end of the 95 % interval, with --intervals"),
    "is_headline": ("", "whether it is the metric that tables show"),
    "published": ("%", "the published value of the same net, if there is one"),
    "difference": ("percent points", "value minus published"),
    "comparison": ("", "same, near or not comparable with the published protocol, or empty"),
    "reasons": ("", "why, separated by semicolons"),
    "limited": ("", "whether it was measured with --limit"),
    "time": ("", "when it was measured, UTC, ISO 8601"),
    "record": ("", "the record's file below the results folder"),
}  # fmt: skip


def rows(records: Sequence[Record], published: Sequence[PublishedRow] = ()) -> list[dict[str, Any]]:
    """A row for each record and metric, the headline first; None where there is no value.

    published are rows of benchmarks that published.csv does not have. Intervals are there if the
    records came with them, numbers rounded to four decimals.
    """
    known, later = (*read_published(), *published), later_options(records)
    return [row for record in records for row in _of_record(record, known, later)]


def as_csv(of_records: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; a column that a row lacks, and None, are empty."""
    names = dict.fromkeys(name for row in of_records for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(of_records)
    return text.getvalue()


def as_json(of_records: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a JSON list of objects that all have the same keys."""
    names = dict.fromkeys(name for row in of_records for name in row)
    alike = [{name: row.get(name) for name in names} for row in of_records]
    return "[" + ",\n".join(map(json.dumps, alike)) + "]\n"


def _of_record(
    record: Record, published: Sequence[PublishedRow], later: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    verdict, numbers = _comparison(record, published)
    facts = _facts(record, later)
    for metric in sorted(record.metrics, key=lambda name: name != record.metric):
        measured, number = record.metrics[metric], numbers.get(metric)
        value = percent(measured["value"])
        yield {
            **facts,
            "metric": metric,
            "value": value,
            "spread": percent(measured.get("spread")),
            **_splits(measured.get("per_split")),
            **_interval(record, metric),
            "is_headline": metric == record.metric,
            "published": number,
            "difference": None if number is None else round(value - number, 4),
            "comparison": verdict.comparison,
            "reasons": "; ".join(verdict.reasons),
            "limited": record.limited,
            "time": record.time,
            "record": path_of(Path(), record.benchmark, record.net, record.key).as_posix(),
        }


def _splits(per_split: Sequence[float] | None) -> dict[str, float | None]:
    return {f"split_{n}": percent(value) for n, value in enumerate(per_split or (), start=1)}


def _interval(record: Record, metric: str) -> dict[str, float]:
    return dict(zip(("low", "high"), interval_of(record, metric) or (), strict=False))


def _facts(record: Record, later: Mapping[str, str]) -> dict[str, Any]:
    """What was measured, with what; settings as text, empty where one does not apply."""
    settings = settings_of(record, later) | {
        "view": stated(record.protocol.get("view", USUAL["view"])),
        "train_scales": _of_each(record, "train_scale"),
    }
    if not settings["scales"]:  # each net has its own
        settings["scales"] = _of_each(record, "scales")
    splits = settings.pop("splits")
    return {
        "benchmark": record.benchmark,
        "title": record.title,
        "net": record.net,
        "weights": "+".join(net["weights"] for net in record.nets),
        "method": record.method,
        "splits": int(splits) if splits else len(record.n_test),
        "test_images": sum(record.n_test),
        **settings,
    }


def _of_each(record: Record, name: str) -> str:
    """What each net states, joined by +; empty where none does."""
    texts = [stated(net.get(name) or "") for net in record.nets]
    return "+".join(texts) if any(texts) else ""


def _comparison(
    record: Record, published: Sequence[PublishedRow]
) -> tuple[Verdict, dict[str, float]]:
    """The verdict on a record, and published values by metric."""
    if record.benchmark in (CLASSIFICATION, LOCALISATION):
        of_paper = [result for results in published_results().values() for result in results]
        result = measured_result(record, of_paper)
        return result.verdict, result.published
    row = published_of(record, published)
    return verdict_on(record, published), {row.metric: row.value} if row else {}
