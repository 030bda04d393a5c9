"""pretrain: the nets themselves, from labelled pictures."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import FOLDER, BatchSize, quiet
from vggfeat.progress import TrainingDisplay


@main.command()
@click.argument("recipes", nargs=-1, metavar="[RECIPES]...")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of labelled pictures.")
@click.option("--out", type=FOLDER, default=Path("runs"), show_default=True, help="Folder of runs.")
@click.option("--stage", "stages", multiple=True, help="Train this stage only. Repeatable.")
@click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE",
    help="Override a field of the recipes. Repeatable.",
)  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto")
@click.option("--pass-size", type=BatchSize(), metavar="N", default="auto", show_default=True)
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop")
@quiet
def pretrain(
    recipes: Sequence[str],
    data: Path | None,
    out: Path,
    stages: Sequence[str],
    overrides: Sequence[str],
    quiet: bool,
    **running: Any,
) -> None:
    """Train nets."""
    with importing():
        from vggfeat.pretraining import recipes as book
        from vggfeat.pretraining.stages import Job, pretrain
        from vggfeat.pretraining.train import Running

    set_up_messages(quiet)
    options = dict(text.partition("=")[::2] for text in overrides)
    if stages:
        chosen = [book.overridden(book.recipe(s), options, one_stage=True) for s in stages]
    else:
        chosen = [
            book.overridden(one, options, one_stage=False)
            for target in recipes or book.DEFAULT_TARGETS
            for one in book.chain(target)
        ]
        chosen = list({one.name: one for one in chosen}.values())
    job = Job(
        recipes=chosen, data=data, out=out, running=Running(**running),
        command=shlex.join(["vggfeat", *sys.argv[1:]]),
    )  # fmt: skip
    with TrainingDisplay(quiet) as display:
        for stage in pretrain(job, display):
            click.echo(f"{stage.name}: {stage.weights} {stage.accuracy}")
