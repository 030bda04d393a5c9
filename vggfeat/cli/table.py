"""table: the records of a results folder beside the published numbers."""

from collections.abc import Sequence
from pathlib import Path

import click

from vggfeat.cli.completers import SUITES, complete_benchmarks, complete_nets
from vggfeat.cli.group import main, set_up_messages
from vggfeat.cli.options import FOLDER, format_, intervals, out
from vggfeat.cli.showing import show, show_grid, show_training


@main.command()
@out
@format_
@click.option(
    "--sweep",
    is_flag=True,
    help="A line for each setting, as `bench --sweep` prints; with --ilsvrc a line for each net and"
    " scales.",
)
@click.option(
    "--shots",
    is_flag=True,
    help="A column for each number of training pictures a class, as `bench --shots` prints.",
)
@click.option(
    "--suite",
    type=click.Choice(SUITES),
    help="A row for each benchmark of a suite, a column for each net, and what its authors average,"
    " as `bench --suite` prints.",
)
@click.option(
    "--runs", type=FOLDER, help="Instead, the records of training in this folder of `pretrain`."
)
@click.option(
    "--ilsvrc",
    is_flag=True,
    help="Instead, what `evaluate` and `localise` measured: Tables 3 to 10.",
)
@click.option(
    "--benchmark",
    "--dataset",
    "benchmark",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_benchmarks,
    help="Only records of this benchmark; repeatable, as are the next three.",
)
@click.option(
    "--net",
    multiple=True,
    metavar="NET",
    shell_complete=complete_nets,
    help="Only of these nets, as tables name them.",
)
@click.option("--probe", multiple=True, metavar="NAME", help="Only of this probe.")
@click.option(
    "--scales", "--scale", "scales", multiple=True, metavar="N,N,...", help="Only at these scales."
)
@intervals
@click.option(
    "--notes",
    "all_notes",
    is_flag=True,
    help="All of each note, of which a terminal is shown the first reasons only.",
)
def table(
    out: Path,
    form: str,
    sweep: bool,
    shots: bool,
    suite: str | None,
    runs: Path | None,
    ilsvrc: bool,
    intervals: bool,
    all_notes: bool,
    **wanted: Sequence[str],
) -> None:
    """Print records beside the published numbers.

    \b
    vggfeat table
    vggfeat table --out results --format latex
    vggfeat table --sweep --format md
    vggfeat table --suite kornblith12
    vggfeat table --ilsvrc --intervals
    vggfeat table --runs runs
    """
    if suite and (sweep or shots or ilsvrc or runs):
        raise click.UsageError(
            "--suite is a table of its own: leave out --sweep, --shots, --ilsvrc and --runs."
        )
    if runs is not None and intervals:
        raise click.UsageError("--intervals: records of training have no scores of test pictures.")
    if runs is not None and any(wanted.values()):
        kinds = ", ".join(f"--{kind}" for kind, names in wanted.items() if names)
        raise click.UsageError(f"{kinds}: choose records of `bench` and `evaluate`, not of --runs.")
    if runs is not None:
        show_training(runs, form)
        return
    from vggfeat.records.record import read_all
    from vggfeat.report.published import CLASSIFICATION, LOCALISATION

    on_ilsvrc = (CLASSIFICATION, LOCALISATION)
    records = [r for r in read_all(out) if (r.benchmark in on_ilsvrc) == ilsvrc]
    if not records:
        maker, other = ("evaluate", "without") if ilsvrc else ("bench", "with")
        raise click.ClickException(
            f"{out}: holds no such records. `vggfeat {maker}` makes them; {other} --ilsvrc others"
            " are shown."
        )
    if suite:
        records = _of_suite(records, suite, out)
    if any(wanted.values()):
        from vggfeat.report.chosen import chosen

        records = chosen(records, wanted)
    if intervals:
        from vggfeat.records.resampling import all_with_intervals

        set_up_messages(quiet=False)
        records = all_with_intervals(records, out)
    advice = "" if all_notes else "the same command with --notes prints these notes in full."
    if suite:
        show(records, form, "suite", suite=suite)
    elif shots:
        _check_shots(records, sweep or ilsvrc, out)
        show(records, form, "shots")
    elif ilsvrc and sweep:
        show_grid(records, form)
    elif ilsvrc:
        show(records, form, "ilsvrc", advice=advice)
    else:
        show(records, form, "sweep" if sweep else "transfer", advice=advice)


def _of_suite(records: Sequence, suite: str, out: Path) -> list:
    """The records of a suite's benchmarks. Raises ClickException if there is none."""
    from vggfeat.benchmarks.suites import suite_of

    of_suite = [record for record in records if record.benchmark in suite_of(suite).benchmarks]
    if not of_suite:
        raise click.ClickException(
            f"{out}: holds no records of the suite {suite}. `vggfeat bench --suite {suite}` makes"
            " them."
        )
    return of_suite


def _check_shots(records: Sequence, is_combined: bool, out: Path) -> None:
    """Raise an error unless there is something to show with --shots, which stands alone."""
    if is_combined:
        raise click.UsageError("--shots shows settings already: leave out --sweep and --ilsvrc.")
    if not any("shots" in record.protocol for record in records):
        raise click.ClickException(
            f"{out}: holds no records of few pictures. `vggfeat bench --shots 1,2,4` makes them."
        )
