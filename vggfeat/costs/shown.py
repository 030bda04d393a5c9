"""An answer as people read it, a table with lines around it, and as one JSON object."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from vggfeat.costs.model import FORWARD, LOAD, STAGES, Estimate
from vggfeat.costs.planning import Answer
from vggfeat.costs.quantities import size_text, three_digits, time_text
from vggfeat.plurals import counted
from vggfeat.report.render import render
from vggfeat.report.table import Table
from vggfeat.report.wrapping import text_width, wrapped

WIDTH = 80
COLUMNS = ("stage", "by itself", "at", "from")


def as_text(answer: Answer, width: int = WIDTH) -> str:
    """What a terminal of this width shows."""
    head = [*([answer.headline] if answer.headline else []), *_job_lines(answer)]
    table = Table.of(COLUMNS, [_row(answer, stage) for stage in STAGES])
    blocks = [
        *(_within(text, width) for text in head),
        render(table, "table", width=width).rstrip(),
        "\n".join(_within(text, width) for text in _result_lines(answer)),
        "\n".join(_within(text, width) for text in _notes(answer)),
    ]
    return "\n\n".join(blocks) + "\n"


def _within(text: str, width: int) -> str:
    """A line as it is, or in several where it is wider."""
    return text if text_width(text) <= width else "\n".join(wrapped(text, width, "  "))


def as_json(answer: Answer) -> str:
    """All numbers as one JSON object, in seconds and bytes."""
    question, result, rates = answer.question, answer.estimate, answer.rates
    values: dict[str, Any] = {
        "pictures": result.num_pictures,
        "net": answer.network.name,
        "scales": list(question.options.scales),
        "mirror": question.options.mirror,
        "devices": result.machines.num_devices,
        "cores": result.machines.cores,
        "picture": asdict(result.work),
        "flops_per_picture": answer.flops,
        "hours": result.seconds / 3600,
        "device_hours": result.device_hours,
        "stage_seconds": dict(result.stage_s),
        "bottleneck": result.bottleneck,
        "bottleneck_margin": result.margin,
        "read_bytes_per_second": result.read_bytes_s,
        "write_bytes_per_second": result.write_bytes_s,
        "disk_bytes": {
            "descriptors": result.descriptor_bytes,
            "files": result.file_bytes,
            "index": result.index_bytes,
            "all": result.disk_bytes,
        },
        "energy_kwh": answer.energy_kwh,
        "cost": answer.cost,
        "disk_cost_per_month": answer.disk_cost,
        "sources": dict(answer.sources),
        "machine": rates.machine,
        "assumptions": list(answer.assumptions),
        "headline": answer.headline,
    }
    return json.dumps(values, indent=1) + "\n"


def _job_lines(answer: Answer) -> Iterator[str]:
    question, work = answer.question, answer.estimate.work
    options = question.options
    scales = ", ".join(map(str, options.scales))
    mirrored = " with mirror images" if options.mirror else ""
    flops = "" if answer.flops is None else f", {_flops(answer.flops)} a picture"
    yield (
        f"{question.num_pictures:,} pictures of {work.source_mp:.2f} megapixels,"
        f" {size_text(work.source_bytes)}, through {answer.network.name}"
        f" at {scales}{mirrored}{flops}"
    )


def _flops(number: int) -> str:
    for unit, factor in (("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6)):
        if number >= factor:
            return f"{three_digits(number / factor)} {unit}"
    return f"{number} FLOP"


def _row(answer: Answer, stage: str) -> list[str]:
    result = answer.estimate
    return [stage, time_text(result.stage_s[stage]), _rate(answer, stage), answer.sources[stage]]


def _rate(answer: Answer, stage: str) -> str:
    result = answer.estimate
    number, seconds = result.num_pictures, result.stage_s[stage]
    each = number / seconds if seconds else 0.0
    machines = result.machines
    match stage:
        case "read":
            return f"{size_text(each * result.work.source_bytes)}/s"
        case "decode":
            cores = counted(machines.cores, "core")
            return f"{three_digits(each / machines.cores)} pictures/s a core, {cores}"
        case "write":
            return f"{size_text(each * result.work.row_bytes)}/s"
    devices = counted(machines.num_devices, "device")
    return f"{three_digits(each / machines.num_devices)} pictures/s, {devices}"


def _result_lines(answer: Answer) -> Iterator[str]:
    result = answer.estimate
    number = result.machines.num_devices
    hours = f"{three_digits(result.device_hours)} device hours" if number > 1 else ""
    yield _line("time", time_text(result.seconds), hours)
    yield _line("bottleneck", _bottleneck(result))
    yield _line(
        "disk",
        size_text(result.disk_bytes),
        f"descriptors {size_text(result.descriptor_bytes)}, index {size_text(result.index_bytes)}",
    )
    yield _line(
        "disk rates",
        f"{size_text(result.read_bytes_s)}/s read, {size_text(result.write_bytes_s)}/s written",
        "what the job needs",
    )
    if answer.energy_kwh is not None:
        yield _line("energy", f"{three_digits(answer.energy_kwh)} kWh", "of the devices alone")
    if answer.cost is not None:
        yield _line("cost", three_digits(answer.cost), "of the device hours")
    if answer.disk_cost is not None:
        yield _line("disk cost", f"{three_digits(answer.disk_cost)} a month")


def _line(name: str, value: str, more: str = "") -> str:
    return f"{name + ':':<12}{value}{f' ({more})' if more else ''}"


def _bottleneck(result: Estimate) -> str:
    if result.machines.is_cpu and result.bottleneck in (LOAD, FORWARD):
        shared = result.stage_s[LOAD] + result.stage_s[FORWARD]
        share = result.stage_s[result.bottleneck] / shared
        other = LOAD if result.bottleneck == FORWARD else FORWARD
        return f"{result.bottleneck}, {share:.0%} of the cores' time; {other} has the rest"
    others = {stage: s for stage, s in result.stage_s.items() if stage != result.bottleneck}
    second = max(others, key=lambda stage: others[stage])
    return f"{result.bottleneck}, {three_digits(result.margin)} times as long as {second}"


def _notes(answer: Answer) -> Iterator[str]:
    result, rates = answer.estimate, answer.rates
    yield f"Measured: {rates.source}, {rates.machine}; decoded were {rates.pictures}."
    if rates.busy_cores:
        yield (
            f"Busy: other programs kept {counted(rates.busy_cores, 'core')} busy when this was"
            " measured. An idle machine is faster."
        )
    if answer.assumptions:
        yield f"Assumed: {'; '.join(answer.assumptions)}."
    vectors = result.num_pictures * answer.network.backbone.dim * 4
    once = time_text(vectors / rates.disk.read_bytes_s)
    yield (
        f"Not counted: fitting probes. Each pass of one over vectors of averaged scales reads"
        f" {size_text(vectors)}, {once} at this disk's rate."
    )
