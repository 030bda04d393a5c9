"""ls: what there is to choose from."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_nets
from vggfeat.cli.group import Commands, importing, main
from vggfeat.cli.options import data_dir
from vggfeat.cli.width import stdout_width
from vggfeat.storage.folders import folders

WIDTH = 48  # of names that share a line
MAX_NETS = 60  # of a library that are listed without a text to look for
TASK_WIDTH = 19
COLUMNS_WIDTH = 80  # of benchmarks and suites; narrower terminals get lines of text
STATES = {"here": "here", "made here": "here", "in part": "part"}  # in the column of the data
LEGEND = (
    "best: in %, of the paper's tables, or else of later papers' linear probes;",
    "data: whether it is in the data folder.",
)
listing_format = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json"]),
    default="table",
    show_default=True,
    help="What to print; csv and json have everything, a line each.",
)


@main.group(cls=Commands)
def ls() -> None:
    """What there is to choose from: nets, layers, benchmarks, probes, numbers.

    \b
    vggfeat ls nets
    vggfeat ls layers resnet50
    vggfeat ls benchmarks --data-dir DATA
    vggfeat ls suites
    vggfeat ls published caltech101
    """


@ls.command("nets")
@click.argument("text", default="", metavar="[TEXT]")
@listing_format
def nets(text: str, form: str) -> None:
    """List the nets that `--net` takes by name; with TEXT those whose name holds it.

    \b
    vggfeat ls nets
    vggfeat ls nets mobilenet
    """
    with importing():
        from vggfeat.benchmarks import listings

    lines = listings.nets(text)
    if form in ("csv", "json"):
        show_listing(lines, form)
        return
    rows = []
    for library, of_library in groupby(lines, lambda line: line["library"]):
        named = list(of_library)
        if not text and len(named) > MAX_NETS and library == "timm":
            rows.append((library, "", f"{len(named):,} nets: vggfeat ls nets TEXT finds them"))
            continue
        for family, members in groupby(named, lambda line: line["family"]):
            wrapped = textwrap.wrap(", ".join(line["net"] for line in members), WIDTH)
            rows += [
                (library, family, part) if not n else ("", "", part)
                for n, part in enumerate(wrapped)
            ]
    show_listing([dict(zip(("library", "family", "nets"), row, strict=True)) for row in rows], form)


@ls.command("layers")
@click.argument("net", metavar="NET", shell_complete=complete_nets)
@listing_format
def layers(net: str, form: str) -> None:
    """List what `layer=` and `--layer` take of a net, in the order of the forward pass.

    Shapes are of one picture of the net's input size: channels, then rows and columns of a map.
    Weights are not fetched.

    \b
    vggfeat ls layers vgg16
    vggfeat ls layers resnet50:input_size=128
    """
    with importing():
        from vggfeat.benchmarks import listings

    lines = listings.layers(net)
    if form == "table":
        side = lines[0].get("of a picture of") if lines else ""
        lines = [
            {"layer": line["layer"], f"shape at {side}": line["shape"], "": line["default"]}
            for line in lines
        ]
    show_listing(lines, form)


@ls.command("benchmarks")
@data_dir
@listing_format
def benchmarks(data_dir: Path | None, form: str) -> None:
    """List the benchmarks: metric, the best published number, task, and where the data is.

    \b
    vggfeat ls benchmarks --data-dir DATA
    """
    with importing():
        from vggfeat.benchmarks import listings
        from vggfeat.report.render import render
        from vggfeat.report.table import Cell, Notes, Table
        from vggfeat.report.transfer import metric_name

    places = folders(data_dir)
    lines = listings.benchmarks(places)
    if form in ("csv", "json"):
        show_listing(lines, form)
        return
    width = stdout_width()
    if form == "table" and width is not None and width < COLUMNS_WIDTH:
        _echo_benchmarks(lines, width)
        return
    rows, notes, group = [], Notes(), ""
    for line in lines:
        if line["group"] != group:
            group = line["group"]
            rows.append((f"{group}:", "", "", "", ""))
        best = Cell()
        if line["best published (%)"] is not None:
            best = Cell(values=(line["best published (%)"],), notes=notes.refer(line["by"]))
        first, *more = textwrap.wrap(line["task"], TASK_WIDTH) or [""]
        data = STATES.get(line["state"], "-")
        rows.append((line["benchmark"], metric_name(line["metric"]), best, data, first))
        rows += [("", "", "", "", part) for part in more]
    table = Table.of(("benchmark", "metric", "best", "data", "task"), rows, notes=notes.texts)
    click.echo(render(replace(table, legend=LEGEND), form, width=width), nl=False)


def _echo_benchmarks(lines: Sequence[dict[str, Any]], width: int) -> None:
    """Lines of text instead of columns, none wider than the terminal."""
    from vggfeat.report.transfer import metric_name

    for group, members in groupby(lines, lambda line: line["group"]):
        click.echo(f"{group}:")
        for line in members:
            value = line["best published (%)"]
            best = f"best {value:.1f}, {line['by']}" if value is not None else ""
            facts = (metric_name(line["metric"]), best, STATES.get(line["state"], ""), line["task"])
            _echo_wrapped(f"{line['benchmark']}: {'; '.join(filter(None, facts))}", width)
    click.echo()
    _echo_wrapped(LEGEND[0].replace(";", "."), width)


def _echo_wrapped(text: str, width: int) -> None:
    from vggfeat.report.wrapping import wrapped

    click.echo("\n".join(wrapped(text, width, "  ")))


@ls.command("suites")
@listing_format
def suites(form: str) -> None:
    """List the suites that `bench --suite` measures: benchmarks, average, source.

    \b
    vggfeat ls suites
    """
    with importing():
        from vggfeat.benchmarks import listings

    lines = listings.suites()
    if form in ("csv", "json"):
        show_listing(lines, form)
        return
    width = stdout_width()
    if form == "table" and width is not None and width < COLUMNS_WIDTH:
        for line in lines:
            average = f" ({line['average']})" if line["average"] else ""
            absent = f"; not measured: {line['not measured']}" if line["not measured"] else ""
            text = f"{line['suite']}{average}: {line['benchmarks']}{absent}. {line['source']}"
            _echo_wrapped(text, width)
        return
    rows = []
    for line in lines:
        parts = textwrap.wrap(line["benchmarks"], WIDTH)
        if line["not measured"]:
            parts.append(f"not measured: {line['not measured']}")
        parts += textwrap.wrap(line["source"], WIDTH)
        heads = [(line["suite"], line["average"] or "-"), *[("", "")] * (len(parts) - 1)]
        rows += [(*head, part) for head, part in zip(heads, parts, strict=True)]
    names = ("suite", "average", "benchmarks and source")
    show_listing([dict(zip(names, row, strict=True)) for row in rows], form)


@ls.command("probes")
@listing_format
def probes(form: str) -> None:
    """List the probes that `--probe` takes.

    \b
    vggfeat ls probes
    """
    from vggfeat.benchmarks import listings

    show_listing(listings.probe_lines(), form)


@ls.command("published")
@click.argument("benchmark", required=False, metavar="[BENCHMARK]")
@click.option(
    "--net",
    metavar="NET",
    shell_complete=complete_nets,
    help="Only numbers of this net, alone or with others.",
)
@listing_format
def published(benchmark: str | None, net: str | None, form: str) -> None:
    """List the published numbers that measured ones are compared with.

    \b
    vggfeat ls published caltech101
    vggfeat ls published --net vgg19 --format csv
    """
    from vggfeat.benchmarks import listings

    lines = list(listings.published(benchmark, net))
    if form in ("csv", "json"):
        show_listing(lines, form)
        return
    from vggfeat.report.render import render
    from vggfeat.report.table import Cell, Notes, Table
    from vggfeat.report.transfer import metric_name

    notes, rows = Notes(), []
    for line in lines:
        value = Cell(
            values=(line["value"],),
            spread=line["spread"],
            notes=notes.refer(line["source"]),
            number_format=".1f" if round(line["value"], 1) == line["value"] else ".2f",
        )
        metric = metric_name(line["metric"])
        rows.append((line["benchmark"], line["method"], metric, line["scales"], value))
    columns = ("benchmark", "method", "metric", "scales", "%")
    table = Table.of(columns, rows, notes=notes.texts)
    click.echo(render(table, form, width=stdout_width()), nl=False)


def show_listing(lines: Sequence[dict[str, Any]], form: str) -> None:
    """Print lines that all have the same keys as a table, or as JSON."""
    if form == "json":
        click.echo(json.dumps(lines, indent=1))
        return
    from vggfeat.report.render import render
    from vggfeat.report.table import Table

    click.echo(render(Table.of_records(lines), form, width=stdout_width()), nl=False)
