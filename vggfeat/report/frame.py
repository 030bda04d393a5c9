"""A folder of records -> a pandas DataFrame, for those who make tables and figures of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggfeat.records.record import Record, path_of, read_all
from vggfeat.report.ilsvrc_results import measured_result, published_results
from vggfeat.report.judge import USUAL, Verdict
from vggfeat.report.published import CLASSIFICATION, LOCALISATION, PublishedRow, read_published
from vggfeat.report.settings import interval_of, later_options, percent, settings_of, stated
from vggfeat.report.transfer import published_of, verdict_on

if TYPE_CHECKING:
    import pandas as pd


def read_results(
    folder: Path | str, published: Sequence[PublishedRow] = (), *, intervals: bool = False
) -> pd.DataFrame:
    """The records of a results folder as a DataFrame: a row for each record and metric.

    `value`, `spread`, `published` and `difference` (measured minus published) are percentages, NaN
    where there is none. `comparison` is "same", "near", "not comparable" or empty. Settings are
    text, empty where they do not apply. published are rows of benchmarks that published.csv does
    not have. intervals adds `low` and `high`, the ends of 95 % intervals over test pictures from
    the scores beside the records, NaN where there are none. Raises RecordError if a record cannot
    be read.
    """
    folder = Path(folder)
    published = (*read_published(), *published)
    return frame_of(read_all(folder), folder, published, intervals=intervals)


def frame_of(
    records: Sequence[Record],
    folder: Path,
    published: Sequence[PublishedRow],
    *,
    intervals: bool = False,
) -> pd.DataFrame:
    """The rows of these records of a folder, beside these published rows alone."""
    import pandas as pd  # takes as long to import as all else of this library

    if intervals:
        from vggfeat.records.resampling import all_with_intervals

        records = all_with_intervals(records, folder)
    later = later_options(records)
    lines = [
        line | (_interval(record, line["metric"]) if intervals else {})
        for record in records
        for line in _lines(record, folder, published, later)
    ]
    return pd.DataFrame(lines)


def _lines(
    record: Record, folder: Path, published: Sequence[PublishedRow], later: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """A line for each metric, the headline first."""
    verdict, numbers = _comparison(record, published)
    of_record = _of_record(record, later)
    for metric in sorted(record.metrics, key=lambda name: name != record.metric):
        number = numbers.get(metric, nan)
        value, spread = (record.metrics[metric].get(name) for name in ("value", "spread"))
        yield {
            **of_record,
            "metric": metric,
            "value": percent(value),
            "spread": nan if spread is None else percent(spread),
            "is_headline": metric == record.metric,
            "published": number,
            "difference": round(percent(value) - number, 4),
            "comparison": verdict.comparison,
            "reasons": "; ".join(verdict.reasons),
            "limited": record.limited,
            "time": record.time,
            "path": str(path_of(folder, record.benchmark, record.net, record.key)),
        }


def _interval(record: Record, metric: str) -> dict[str, float]:
    return dict(zip(("low", "high"), interval_of(record, metric) or (nan, nan), strict=True))


def _of_record(record: Record, later: Mapping[str, str]) -> dict[str, Any]:
    """What was measured, with what; settings as text, empty where one does not apply."""
    settings = settings_of(record, later) | {
        "view": stated(record.protocol.get("view", USUAL["view"])),
        "train_scales": "+".join(str(net.get("train_scale") or "") for net in record.nets),
    }
    if not settings["scales"]:  # each net has its own
        settings["scales"] = "+".join(stated(net.get("scales", "")) for net in record.nets)
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
