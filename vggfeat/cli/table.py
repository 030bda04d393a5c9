"""table: the records of a results folder beside the published numbers."""

from pathlib import Path

import click

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
    "--runs", type=FOLDER, help="Instead, the records of training in this folder of `pretrain`."
)
@click.option(
    "--ilsvrc",
    is_flag=True,
    help="Instead, what `evaluate` and `localise` measured: Tables 3 to 10.",
)
@intervals
def table(
    out: Path, form: str, sweep: bool, runs: Path | None, ilsvrc: bool, intervals: bool
) -> None:
    """Print the records of a results folder beside the published numbers."""
    if runs is not None and intervals:
        raise click.UsageError("--intervals: records of training have no scores of test pictures.")
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
    if intervals:
        from vggfeat.records.resampling import all_with_intervals

        set_up_messages(quiet=False)
        records = all_with_intervals(records, out)
    if ilsvrc and sweep:
        show_grid(records, form)
    elif ilsvrc:
        show(records, form, "ilsvrc")
    else:
        show(records, form, "sweep" if sweep else "transfer")
