"""Records printed: as JSON, or as one of the tables that can be made of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.colours import echo_marked
from vggfeat.cli.width import stdout_width

READABLE = ("table", "md", "latex", "booktabs")  # of tables that have no form for programs


def show(
    records: Sequence,
    form: str,
    layout: str = "transfer",
    published: Sequence = (),
    *,
    advice: str = "",
    suite: str | None = None,
) -> None:
    """Print records as JSON, as tidy data or as tables.

    layout is "transfer" (beside the published numbers), "sweep", "shots" (a column for each number
    of training pictures), "ilsvrc" (Tables 3 to 10), "ilsvrc_grid" or "suite", the table of suite
    alone, which otherwise follows those of "transfer" and "shots" that people read. published are
    rows of benchmarks that published.csv does not have. Long notes are cut on a terminal with
    advice, which says how to read them in full.
    """
    if form == "json":
        from vggfeat.records.record import to_json

        click.echo("[" + ",\n".join(map(to_json, records)) + "]")
        return
    if form in ("tidy", "tidy-json"):
        from vggfeat.report import tidy

        write = tidy.as_csv if form == "tidy" else tidy.as_json
        click.echo(write(tidy.rows(records, published)), nl=False)
        return
    if layout == "suite":
        echo_tables(_of_suite(suite, records, form), form, advice=advice)
        return
    echo_tables(_tables(records, form, layout, published), form, advice=advice)
    if suite and form in READABLE and layout in ("transfer", "shots"):
        click.echo()
        echo_tables(_of_suite(suite, records, form), form)


def echo_tables(tables: Any, form: str, *, advice: str = "") -> None:
    """Print a table or several; as text they are as wide as the terminal at most.

    Long notes are cut there with advice, which says how to read them in full.
    """
    from vggfeat.report.render import render

    text = render(tables, form, width=stdout_width(), advice=advice)
    if form == "table":
        echo_marked(text)
    else:
        click.echo(text, nl=False)


def show_training(runs: Path, form: str) -> None:
    """Print the records of training in a folder as a table."""
    from vggfeat.report.training import read_training_records, table

    if form not in READABLE:
        raise click.UsageError(f"--runs has no format {form}: {runs} holds the records as JSON.")
    echo_tables(table(read_training_records(runs)), form)


def show_grid(records: Sequence, form: str) -> None:
    """Print what `evaluate` measured: a row for each net and its scales, a column for each view."""
    from vggfeat.report.published import CLASSIFICATION

    if form not in READABLE:
        raise click.UsageError(f"--sweep with --ilsvrc has no format {form}; leave out --sweep.")
    if not any(record.benchmark == CLASSIFICATION for record in records):
        raise click.UsageError(
            "--sweep with --ilsvrc shows what `evaluate` measured, and there is none."
        )
    show(records, form, "ilsvrc_grid")


def _of_suite(name: str, records: Sequence, form: str):
    from vggfeat.benchmarks import suite_table
    from vggfeat.benchmarks.suites import suite_of

    table = suite_table.numbers if form == "csv" else suite_table.table
    return table(suite_of(name), records)


def _tables(records: Sequence, form: str, layout: str, published: Sequence):
    """The table or tables of a layout; for CSV the one with a row a number."""
    from vggfeat.report import ilsvrc_grid, ilsvrc_tables, shots, sweep, transfer
    from vggfeat.report.published import read_published

    if layout == "ilsvrc_grid":
        return ilsvrc_grid.tables(records)
    if layout == "transfer":
        results = transfer.compare(records, (*read_published(), *published))
        return transfer.numbers(results) if form == "csv" else transfer.table(results)
    module = {"sweep": sweep, "shots": shots, "ilsvrc": ilsvrc_tables}[layout]
    return module.numbers(records) if form == "csv" else module.tables(records)
