"""bench-speed: speed beside peers and the machine's limits."""

import signal
from collections.abc import Sequence
from pathlib import Path

import click

from vggfeat.cli.configured import command_line
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import FOLDER, device, quiet
from vggfeat.cli.width import stdout_width


@main.command("bench-speed")
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option(
    "--out",
    type=FOLDER,
    default=Path("results/speed"),
    show_default=True,
    help="Folder of records, and of the tables made from them.",
)
@click.option(
    "--repeats", type=click.IntRange(1), help="Timed rounds: 5 by default, 2 with --quick."
)
@click.option(
    "--quick",
    is_flag=True,
    help="Fewer pictures, problems and rounds of what a GPU is used for: minutes, not hours.",
)
@device
@quiet
def bench_speed(
    names: Sequence[str], out: Path, repeats: int | None, quick: bool, device: str, quiet: bool
) -> None:
    """Measure speed beside peers and the machine's limits.

    Rounds of what is compared are interleaved, so that both meet the same machine.

    \b
    vggfeat bench-speed
    vggfeat bench-speed extraction training --device cuda
    vggfeat bench-speed --device cuda --quick
    """
    set_up_messages(quiet)
    with importing():
        from vggfeat.benchmarks.speed import suite, tables

    command = command_line()
    try:
        for _ in suite.run(
            names, out, device=device, repeats=repeats, command=command, is_quick=quick
        ):
            shown = tables.write(
                out, stdout_width()
            )  # after each, as the next one may be interrupted
    except KeyboardInterrupt as interrupt:
        click.echo("\nInterrupted. The records that were written are kept.", err=True)
        raise click.exceptions.Exit(
            128 + getattr(interrupt, "signal_number", signal.SIGINT)
        ) from None
    click.echo(shown, nl=False)
