"""compare: which of two nets, probes or settings is better, on the same test pictures."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import click

from vggfeat.cli.completers import complete_benchmarks
from vggfeat.cli.group import importing, main
from vggfeat.cli.options import FOLDER
from vggfeat.cli.width import stdout_width
from vggfeat.errors import RecordError

WIDTH = 80


@main.command()
@click.argument("selectors", nargs=-1, metavar="A B [C]...")
@click.option("--all", "all_records", is_flag=True, help="Every two records of the same test set.")
@click.option(
    "--out",
    type=FOLDER,
    default=Path("results"),
    show_default=True,
    help="Folder of records that names are looked up in.",
)
@click.option(
    "--benchmark",
    metavar="NAME",
    shell_complete=complete_benchmarks,
    help="Only records of this benchmark.",
)
@click.option(
    "--pictures",
    "list_pictures",
    is_flag=True,
    help="List the test pictures for which the two predict other classes.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json", "latex", "booktabs"]),
    default="table",
    show_default=True,
    help="What to print; csv and json have all numbers of a pair, booktabs is LaTeX for papers.",
)
def compare(
    selectors: Sequence[str],
    all_records: bool,
    out: Path,
    benchmark: str | None,
    list_pictures: bool,
    form: str,
) -> None:
    """Which is better? Records compared on the same test pictures.

    A and B are record files, results folders, or what records in --out differ in: nets as tables
    name them, probes, precisions, or NAME=VALUE of a setting. The scores stored beside records are
    compared; nothing is measured anew.

    \b
    vggfeat compare vgg16 vgg16+vgg19
    vggfeat compare layer=features.7 layer=features.10 --benchmark caltech101
    vggfeat compare results/voc2007/vgg16-0123456789abcdef.json other.json
    vggfeat compare --all --format md
    """
    if len(selectors) < 2 and not all_records:
        raise click.UsageError("Name two to compare, or give --all.")
    if selectors and all_records:
        raise click.UsageError("--all compares every two records; name none beside it.")
    with importing():
        from vggfeat.benchmarks.comparison import facets, selection
        from vggfeat.benchmarks.comparison.comparison import compared

    if all_records:
        pairs = selection.all_pairs(facets.located_below(out))
    else:
        sides = [selection.select(text, out) for text in selectors]
        pairs = [pair for two in combinations(sides, 2) for pair in selection.pairs_of(*two)]
    groups = _by_test_set(pairs, benchmark)
    _show([compared(group) for group in groups], form, list_pictures)


def _by_test_set(pairs: Sequence[tuple], benchmark: str | None) -> list[list[tuple]]:
    """Pairs that are compared on the same pictures together. Raises RecordError if none is left."""
    groups: dict[tuple, list[tuple]] = {}
    for a, b in pairs:
        if benchmark in (None, a.record.benchmark):
            groups.setdefault(a.test_set, []).append((a, b))
    if not groups:
        names = sorted({a.record.benchmark for a, _ in pairs})
        there = f" There are pairs of {', '.join(names)}." if names else ""
        of_what = f" of {benchmark}" if benchmark else ""
        raise RecordError(f"No two records{of_what} are of the same test set.{there}")
    return sorted(groups.values(), key=lambda group: group[0][0].place)


def _show(groups: Sequence[Sequence], form: str, list_pictures: bool) -> None:
    from vggfeat.benchmarks.comparison import tables
    from vggfeat.report.render import render
    from vggfeat.report.table import Table

    if list_pictures:
        every = [comparison for group in groups for comparison in group]
        text = render(tables.pictures_table(every), form, width=stdout_width())
        click.echo(text.lstrip("\n"), nl=False)
    elif form in ("csv", "json"):
        lines = [line for group in groups for line in tables.numbers(group)]
        if form == "json":
            click.echo(json.dumps(lines, indent=1))
        else:
            flat = [
                {k: json.dumps(v) if isinstance(v, list) else v for k, v in line.items()}
                for line in lines
            ]
            click.echo(render(Table.of_records(flat), form), nl=False)
    else:
        shown = [
            table
            for group in groups
            for table in (
                tables.pair_tables(group[0]) if len(group) == 1 else tables.several_tables(group)
            )
        ]
        width = stdout_width()
        if form == "table" and width is None:
            shown = [replace(table, legend=_wrapped(table.legend)) for table in shown]
        texts = (render(table, form, width=width).strip("\n") for table in shown)
        click.echo("\n\n".join(texts))


def _wrapped(lines: Sequence[str]) -> tuple[str, ...]:
    """Lines cut to the usual width where there is no terminal; names are not cut."""
    options = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": "  "}
    return tuple(part for line in lines for part in textwrap.wrap(line, WIDTH, **options))
