"""How each number was measured: protocol, nets, probe, remarks, and the command."""

from collections.abc import Iterator, Mapping
from typing import Any

from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.ranking import name_of
from vggfeat.report.page.blocks import Block, Command, Facts, Folded, Section, says
from vggfeat.report.results import Result
from vggfeat.report.settings import percent, stated
from vggfeat.report.transfer import metric_name

NUM_SKIPPED = 5  # pictures that are named


def records_section(material: Material) -> Section | None:
    """A fold for each record, benchmark by benchmark; None where only training is shown."""
    if not material.all_results:
        return None
    return Section(
        id=material.anchors.new("protocols"),
        title="Protocols and commands",
        blocks=(
            says(
                "Protocol, weights, probe, remarks and command, as each record states them;"
                " unfolded on a screen, not on paper."
            ),
        ),
        parts=tuple(
            Section(
                id=material.anchors.new(f"{b.title} protocols"),
                title=name_of(b),
                blocks=tuple(_record(material, result) for result in b.results),
            )
            for b in (*material.transfer, *material.ilsvrc)
        ),
    )


def _record(material: Material, result: Result) -> Folded:
    record = result.record
    value = percent(record.metrics[record.metric]["value"])
    return Folded(
        summary=f"{result.label}: {value:.1f} %",
        id=material.record_id(result),
        blocks=(
            *_remarks(result),
            Facts(tuple(_facts(result))),
            Command(record.command),
        ),
        is_for_paper=False,
    )


def _remarks(result: Result) -> Iterator[Block]:
    record = result.record
    for text in (*(record.remarks or ()), *record.notes):
        yield says(f"{text}.", role="note")
    if record.skipped:
        shown = list(record.skipped.items())[:NUM_SKIPPED]
        named = "; ".join(f"{picture}: {reason}" for picture, reason in shown)
        more = "" if len(shown) == len(record.skipped) else f"; of {len(record.skipped)}"
        yield says(f"Skipped pictures: {named}{more}.", role="note")


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    record = result.record
    for name, metric in record.metrics.items():
        spread = "" if metric.get("spread") is None else f" ± {percent(metric['spread']):.2f}"
        yield f"{metric_name(name)} (%)", f"{percent(metric['value']):.2f}{spread}"
    for name, value in record.protocol.items():
        yield name.replace("_", " "), _text(value)
    for number, net in enumerate(record.nets, start=1):
        which = f" {number}" if len(record.nets) > 1 else ""
        features = net.get("features") if isinstance(net.get("features"), dict) else {}
        of_features = {n: v for n, v in features.items() if n not in ("file", "dataset")}
        yield f"net{which}", _text({n: v for n, v in net.items() if n != "features"})
        if of_features:
            yield f"features{which}", _text(of_features)
    if record.probe:
        chosen = {n: v for n, v in record.probe.items() if n not in ("validation", "c")}
        yield "probe", _text(chosen)
    yield "training pictures", " ".join(map(str, record.n_train))
    yield "test pictures", " ".join(map(str, record.n_test))
    yield "digest of the splits", record.splits_sha256
    yield "time", f"{record.time}; {record.timing}" if record.timing else record.time
    yield "hardware", _text(record.hardware)
    yield "versions", _text(record.versions)
    yield "code", _text(record.git) if record.git else "not stated"
    yield "record", f"{result.path.parent.name}/{result.path.name}"


def _text(value: Any) -> str:
    """A value of JSON in a line, without its quotes and brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return stated(value) if value not in ("", None, [], ()) else "none"
