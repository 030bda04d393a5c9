"""Records of a suite's benchmarks -> a row a benchmark, a column a net, and the authors' average.

There is an average only of a column in which each benchmark of the suite has one number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vggfeat.benchmarks.datasets.registry import definition_of
from vggfeat.benchmarks.suites import Suite
from vggfeat.records.record import Record
from vggfeat.report.best import with_best
from vggfeat.report.settings import interval_legend, interval_of, percent
from vggfeat.report.shots import ALL, probe_of, shots_of
from vggfeat.report.table import Cell, Notes, Table
from vggfeat.report.transfer import metric_name


@dataclass(frozen=True)
class Column:
    """The records of one method, probe and number of training pictures, by benchmark."""

    method: str
    probe: str
    shots: str
    records: Mapping[str, Sequence[Record]]  # each benchmark's, of a suite's; maybe several or none


def table(suite: Suite, records: Sequence[Record]) -> Table:
    """A row for each benchmark of the suite, measured or not; below it what the authors average."""
    columns, notes = columns_of(suite, records), Notes()
    lines = [
        [*(_cell(suite, name, column.records[name]) for name in suite.benchmarks)]
        for column in columns
    ]
    lines = with_best(lines, range(len(suite.benchmarks)), [True] * len(lines))
    titles = [definition_of(name).title for name in suite.benchmarks]
    metrics = [metric_name(metric_of(suite, name)) for name in suite.benchmarks]
    if suite.average:
        titles.append(f"{suite.average.name} of {suite.extent}{suite.average.unit}")
        metrics.append("")
        lines = [
            [*line, _average_cell(suite, column, notes)]
            for line, column in zip(lines, columns, strict=True)
        ]
    named = ["benchmark"] if suite.metric else ["benchmark", "metric"]
    heads = [titles] if suite.metric else [titles, metrics]
    what = metric_name(suite.metric) if suite.metric else "each set's own metric"
    return Table.of(
        [*named, *_labels(columns)],
        zip(*heads, *lines, strict=True),
        title=f"{suite.title}: {what} (%){_probe(columns)}",
        notes=notes.texts,
        legend=(
            *_legend(suite),
            *interval_legend(
                _interval(suite, record)
                for column in columns
                for several in column.records.values()
                for record in several
            ),
        ),
    )


def numbers(suite: Suite, records: Sequence[Record]) -> Table:
    """A row a number, the averages last, for programs."""
    columns = columns_of(suite, records)
    lines = []
    for column in columns:
        for record in (record for several in column.records.values() for record in several):
            metric = metric_of(suite, record.benchmark)
            lines.append(
                {"suite": suite.name, "benchmark": record.benchmark, "title": record.title}
                | _head(column)
                | {"metric": metric}
                | {n: percent(record.metrics[metric].get(n)) for n in ("value", "spread")}
                | dict(zip(("low", "high"), _interval(suite, record) or (), strict=False))
                | {"limited": record.limited}
            )
    for column in columns:
        value, reason = average(suite, column)
        if value is not None:
            limited = any(several[0].limited for several in column.records.values())
            lines.append(
                {"suite": suite.name, "benchmark": suite.extent, "title": suite.title}
                | _head(column)
                | {"metric": suite.average.name, "value": round(value, 4), "limited": limited}
            )
    return Table.of_records(lines)


def columns_of(suite: Suite, records: Sequence[Record]) -> list[Column]:
    """The columns in the order of their first records. Limited records give way to whole ones."""
    keys = dict.fromkeys(
        (record.method, probe_of(record), shots_of(record))
        for record in records
        if record.benchmark in suite.benchmarks
    )
    return [
        Column(*key, {name: _of(suite, name, key, records) for name in suite.benchmarks})
        for key in keys
    ]


def metric_of(suite: Suite, benchmark: str) -> str:
    """The metric that the suite shows of a benchmark: the suite's, or the headline."""
    return suite.metric or definition_of(benchmark).protocol.metric


def average(suite: Suite, column: Column) -> tuple[float | None, str]:
    """What the authors average, or None and why there is no such number."""
    if suite.average is None:
        return None, ""
    title = {name: definition_of(name).title for name in suite.benchmarks}
    absent = [title[name] for name, records in column.records.items() if not records]
    if absent:
        return None, f"no average: {'; '.join(absent)} not measured"
    several = [title[name] for name, records in column.records.items() if len(records) > 1]
    if several:
        return None, f"no average: several settings of {'; '.join(several)}"
    fractions = {
        name: record.metrics[metric_of(suite, name)]["value"]
        for name, (record,) in column.records.items()
    }
    value = suite.average.of(list(fractions.values()))
    if not math.isfinite(value):
        ends = [title[name] for name, fraction in fractions.items() if fraction in (0, 1)]
        return None, f"no average: the log odds of 0 % and 100 % are infinite ({'; '.join(ends)})"
    return value, ""


def _of(suite: Suite, name: str, key: tuple, records: Sequence[Record]) -> list[Record]:
    of_key = [
        record
        for record in records
        if record.benchmark == name
        and (record.method, probe_of(record), shots_of(record)) == key
        and metric_of(suite, name) in record.metrics
    ]
    return [record for record in of_key if not record.limited] or of_key


def _cell(suite: Suite, name: str, records: Sequence[Record]) -> Cell:
    values = [record.metrics[metric_of(suite, name)]["value"] for record in records]
    return Cell(
        values=tuple(map(percent, values)),
        interval=_interval(suite, records[0]) if len(records) == 1 else None,
        flag="LIMITED" if any(record.limited for record in records) else "",
    )


def _average_cell(suite: Suite, column: Column, notes: Notes) -> Cell:
    value, reason = average(suite, column)
    if value is None:
        return Cell(text="-", notes=notes.refer(reason))
    limited = any(record.limited for (record,) in column.records.values())
    return Cell(
        values=(value,),
        number_format=suite.average.number_format,
        flag="LIMITED" if limited else "",
    )


def _labels(columns: Sequence[Column]) -> list[str]:
    """Methods, with probe and shots behind them where columns differ in these."""
    has_probes = len({column.probe for column in columns}) > 1
    labels = []
    for column in columns:
        few = [f"{column.shots} a class"] if column.shots != ALL else []
        words = ", ".join([*([column.probe] if has_probes else []), *few])
        labels.append(f"{column.method} ({words})" if words else column.method)
    return labels


def _probe(columns: Sequence[Column]) -> str:
    """The probe for the title, where all columns have the same."""
    probes = {column.probe for column in columns}
    return f", probe {probes.pop()}" if len(probes) == 1 else ""


def _head(column: Column) -> dict[str, str]:
    return {"method": column.method, "probe": column.probe, "shots": column.shots}


def _interval(suite: Suite, record: Record) -> tuple[float, float] | None:
    return interval_of(record, metric_of(suite, record.benchmark))


def _legend(suite: Suite) -> list[str]:
    """The citation, what is averaged and of what, and where protocols are not the authors'."""
    missing = [f"{name} is not measured: {reason}." for name, reason in suite.missing.items()]
    about = [suite.average.about] if suite.average else []
    return [suite.citation, *about, *missing, *suite.differs]
