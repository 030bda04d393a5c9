"""What commands that measure print: the records that were made, and what failed."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from vggfeat.cli.progress import ProgressDisplay
from vggfeat.cli.showing import show


def show_outcomes(
    measure: Callable[[Callable], Iterable],
    layout: str,
    *,
    published: Sequence = (),
    out: Path,
    form: str,
    quiet: bool,
    intervals: bool = False,
    suite: str | None = None,
) -> None:
    """Measure, print the records, and failures last, which make the exit status 1.

    measure takes a progress callback and yields a Record or a Failure. Records are printed in a
    layout of `show`, beside published rows of the user's datasets, also where an error or Ctrl-C
    ends the measuring early. out is their folder. intervals adds those of the values. suite names
    the one whose table follows.
    """
    from vggfeat.benchmarks.runner import Failure

    records, failures = [], []
    try:
        with ProgressDisplay(quiet) as progress:
            for outcome in measure(progress):
                (failures if isinstance(outcome, Failure) else records).append(outcome)
    finally:
        if records or (form == "json" and failures):
            if intervals:
                from vggfeat.records.resampling import all_with_intervals

                records = all_with_intervals(records, out)
            advice = _advice(layout, out)
            show(records, form, layout, published, advice=advice, suite=suite)
    if not failures:
        return
    if len(failures) == 1 and not records:
        raise click.ClickException(failures[0].reason)
    for failure in failures:
        click.echo(f"Failed: {failure.label}: {failure.reason}", err=True)
    raise click.ClickException(
        f"{len(failures)} failed, {len(records)} measured. What was measured is kept in {out}; when"
        " what is named above is put right, the same command does the rest."
    )


def _advice(layout: str, out: Path) -> str:
    """How to read the notes of a table in full."""
    ilsvrc = ["--ilsvrc"] if layout.startswith("ilsvrc") else []
    of_folder = ["--out", str(out)] if out != Path("results") else []
    command = shlex.join(["vggfeat", "table", *ilsvrc, *of_folder, "--notes"])
    return f"`{command}` prints these notes in full."
