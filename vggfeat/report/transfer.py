"""Records of transfer benchmarks -> a table beside the published numbers.

A measured number is compared with the published one of the same nets; judge.py says whether the two
may be compared. Published values are percentages, as printed; records hold fractions; results and
tables are percentages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from vggfeat.probes.registry import DEFAULT_PROBE
from vggfeat.records.record import Record
from vggfeat.report.best import with_best
from vggfeat.report.judge import (
    LEGEND,
    MARKS,
    TRANSFER,
    USUAL,
    Verdict,
    flaws,
    is_same_net,
    is_same_probe,
    judge,
)
from vggfeat.report.published import PublishedRow, read_published
from vggfeat.report.settings import (
    PROBE,
    assumptions,
    interval_legend,
    interval_of,
    later_options,
    percent,
    settings_of,
)
from vggfeat.report.table import Cell, Notes, Table

OWN_PICTURES = "own pictures: no published number to compare with"  # one line below a table
SHOWN = ("best shallow", "very deep")  # kinds of published rows; others only beside the same net
NOTHING_PUBLISHED = "no published number for this benchmark"
NOT_OF_THIS_NET = "no published number for this net"
METRIC_NAMES = {
    "mean_class_recall": "mean class recall",
    "top1_error": "top-1 error",
    "top5_error": "top-5 error",
    "map_11pt": "mAP, 11 points",
    "map_area": "mAP, area",
    "map_step": "mAP, steps",
}


def lower_is_better(metric: str) -> bool:
    """Whether a metric is an error, of which less is better."""
    return "_error" in metric


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """One number, measured or published, in %; difference is measured minus published."""

    benchmark: str
    title: str
    method: str
    metric: str
    value: float
    spread: float | None
    published: float | None = None
    difference: float | None = None
    comparison: str = ""  # "same", "near", "not comparable", or empty: nothing to compare with
    reasons: tuple[str, ...] = ()
    limited: bool = False
    settings: dict[str, str] = field(default_factory=dict)  # what a user can vary, by name
    source: str = ""
    interval: tuple[float, float] | None = None  # the ends of 95 %, where they were asked for

    @property
    def is_measured(self) -> bool:
        """Whether it was measured, not published."""
        return not self.source


def compare(
    records: Sequence[Record], published: Sequence[PublishedRow] | None = None
) -> list[TransferResult]:
    """The published results to compare with, then the measured ones.

    published are the rows to choose from, by default those of published.csv. Benchmarks come in
    their order; those without any come last.
    """
    rows = read_published() if published is None else published
    titles = {record.benchmark: record.title for record in records}
    order = [row.benchmark for row in rows if row.benchmark in titles]
    later = later_options(records)
    published_results, measured = [], []
    for benchmark in dict.fromkeys([*order, *titles]):
        candidates = [row for row in rows if row.benchmark == benchmark]
        of_benchmark = [record for record in records if record.benchmark == benchmark]
        same_net = [published_of(record, candidates) for record in of_benchmark]
        shown = [row for row in candidates if row.kind in SHOWN or row in same_net]
        published_results += [_published_result(row, titles[benchmark], later) for row in shown]
        measured += [_measured_result(record, candidates, later) for record in of_benchmark]
    return [*published_results, *measured]


def published_of(record: Record, published: Sequence[PublishedRow]) -> PublishedRow | None:
    """The row of the record's benchmark, nets and probe, by its headline metric if there is one."""
    of_benchmark = (row for row in published if row.benchmark == record.benchmark)
    rows = [r for r in of_benchmark if is_same_net(record, r) and is_same_probe(record, r)]
    rows.sort(key=lambda row: (row.metric != record.metric, row.metric not in record.metrics))
    return rows[0] if rows else None


def verdict_on(record: Record, published: Sequence[PublishedRow]) -> Verdict:
    """How the record's protocol stands to the published one of its nets, else of any deep net."""
    same_net = published_of(record, published)
    deep = [r for r in published if r.benchmark == record.benchmark and r.kind == "very deep"]
    of_probe = [row for row in deep if is_same_probe(record, row)]
    reference = same_net or (of_probe[0] if of_probe else None)
    if reference is None and record.protocol.get("own"):
        return Verdict("", (OWN_PICTURES, *assumptions(record), *flaws(record)))
    if reference is None:
        return Verdict("", (_lacking(record, published), *assumptions(record), *flaws(record)))
    verdict = judge(TRANSFER, record, reference)
    if same_net is None:
        return replace(verdict, reasons=(*verdict.reasons, NOT_OF_THIS_NET))
    if verdict.reasons:
        return verdict
    # A published row states less than a record does.
    return replace(verdict, reasons=(f"as far as stated: {reference.notes}",))


def _lacking(record: Record, published: Sequence[PublishedRow]) -> str:
    """Why none of the published rows is compared with a record."""
    rows = [row for row in published if row.benchmark == record.benchmark]
    if deep := [row for row in rows if row.kind == "very deep"]:
        return f"published numbers are of a {deep[0].classifier}"
    if of_net := [row for row in rows if is_same_net(record, row)]:
        return f"the published number of this net is by {of_net[0].classifier}"
    return NOT_OF_THIS_NET if rows else NOTHING_PUBLISHED


def table(results: Sequence[TransferResult]) -> Table:
    """A row a method with a column a benchmark; several rows where one has several results."""
    results = _with_settings(results)
    columns = dict.fromkeys((r.benchmark, r.title, r.metric) for r in results)
    has_probes = any(PROBE in result.settings for result in results)
    rows, measured, notes = [], [], Notes()
    for line in dict.fromkeys(map(_line, results)):
        cells: dict[tuple[str, str, str], list[Cell]] = {}
        for result in results:
            if _line(result) == line:
                column = (result.benchmark, result.title, result.metric)
                cells.setdefault(column, []).append(_cell(result, notes))
        method, probe, is_measured = line
        for level in range(max(map(len, cells.values()))):
            of_level = [cells.get(column, [])[level : level + 1] for column in columns]
            numbers = (cell[0] if cell else Cell() for cell in of_level)
            rows.append([method, *([probe] if has_probes else []), *numbers])
            measured.append(is_measured)
    has_marks = any(result.is_measured and result.comparison for result in results)
    has_own = any(OWN_PICTURES in result.reasons for result in results)
    own_legend = (f"{OWN_PICTURES.capitalize()}.",) if has_own else ()
    titles = (f"{title}, {metric_name(metric)} (%)" for _, title, metric in columns)
    heads = ["method", *([PROBE] if has_probes else []), *titles]
    return Table.of(
        heads,
        with_best(rows, range(len(heads) - len(columns), len(heads)), measured),
        notes=notes.texts,
        legend=(
            *((LEGEND,) if has_marks else ()),
            *own_legend,
            *interval_legend(r.interval for r in results),
        ),
    )


def numbers(results: Sequence[TransferResult]) -> Table:
    """A row a number, with all that is known of it in columns, for programs."""
    lines = []
    for result in results:
        line = asdict(result) | {"reasons": "; ".join(result.reasons)}
        settings, interval = line.pop("settings"), line.pop("interval")
        ends = zip(("low", "high"), interval or (), strict=False)
        lines.append(line | settings | dict(ends))
    return Table.of_records(lines)


def metric_name(metric: str) -> str:
    """The name of a metric as tables print it, such as "mAP, area"."""
    return METRIC_NAMES.get(metric, metric)


def _line(result: TransferResult) -> tuple[str, str, bool]:
    """What results of one line of the table have in common: method, probe, whether measured."""
    return result.method, result.settings.get(PROBE, ""), result.is_measured


def _published_result(row: PublishedRow, title: str, later: Mapping[str, str]) -> TransferResult:
    return TransferResult(
        benchmark=row.benchmark,
        title=title,
        method=row.method,
        metric=row.metric,
        value=row.value,
        spread=row.spread,
        reasons=(row.notes,) if row.kind == "best shallow" else (),
        settings={PROBE: _probe_of(row)} if PROBE in later else {},
        source=row.source,
    )


def _probe_of(row: PublishedRow) -> str:
    """The probe of a published row by the name that records have, where they have one."""
    return DEFAULT_PROBE if row.classifier == USUAL["classifier"] else row.classifier


def _measured_result(
    record: Record, published: Sequence[PublishedRow], later: Mapping[str, str]
) -> TransferResult:
    reference = published_of(record, published)
    value = difference = None
    if reference and reference.metric in record.metrics:
        # Like with like: by the rule of the published number, whatever the headline's is.
        value = reference.value
        difference = round(percent(record.metrics[reference.metric]["value"]) - value, 4)
    verdict = verdict_on(record, published)
    return TransferResult(
        benchmark=record.benchmark,
        title=record.title,
        method=record.method,
        metric=record.metric,
        value=percent(record.metrics[record.metric]["value"]),
        spread=percent(record.metrics[record.metric]["spread"]),
        published=value,
        difference=difference,
        comparison=verdict.comparison,
        reasons=verdict.reasons,
        limited=record.limited,
        settings=settings_of(record, later),
        interval=interval_of(record, record.metric),
    )


def _cell(result: TransferResult, notes: Notes) -> Cell:
    reasons = tuple(reason for reason in result.reasons if reason != OWN_PICTURES)
    return Cell(
        values=(result.value,),
        spread=result.spread,
        interval=result.interval,
        difference=result.difference,
        mark=MARKS[result.comparison],
        flag="LIMITED" if result.limited else "",
        notes=notes.refer(Verdict(result.comparison, reasons).note),
    )


def _with_settings(results: Sequence[TransferResult]) -> list[TransferResult]:
    """Results of one method and probe get the settings in which they differ behind its name."""
    renamed = []
    for result in results:
        alike = [
            r for r in results if (r.benchmark, *_line(r)) == (result.benchmark, *_line(result))
        ]
        differing = [
            f"{name} {value}"
            for name, value in result.settings.items()
            if len({other.settings.get(name) for other in alike}) > 1
        ]
        method = f"{result.method} ({', '.join(differing)})" if differing else result.method
        renamed.append(replace(result, method=method))
    return renamed
