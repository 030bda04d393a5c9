"""doctor: what this machine has, with advice; what was understood of a net and its weights."""

import json
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_nets
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import cache_dir, data_dir, offline, quiet
from vggfeat.storage.folders import folders

WIDTH = 80
FILE = click.Path(dir_okay=False, path_type=Path)


@main.command()
@click.option(
    "--weights",
    "net",
    metavar="NET",
    shell_complete=complete_nets,
    help="A net as `--net` names it, or its file.",
)
@click.option("--picture", type=FILE, help="Name the likeliest classes of this picture.")
@data_dir
@cache_dir
@offline
@quiet
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="What to print of this machine.",
)
def doctor(
    net: str | None,
    picture: Path | None,
    data_dir: Path | None,
    cache_dir: Path | None,
    offline: bool,
    quiet: bool,
    form: str,
) -> None:
    """Say what this machine has, with advice; or what a net is.

    Of a net that is what was understood of it and its weights.

    \b
    vggfeat doctor
    vggfeat doctor --weights vgg16.safetensors --picture cat.jpg
    """
    if picture and not net:
        raise click.UsageError("--picture needs a net: --weights NET.")
    places = folders(data_dir, cache_dir)
    if net is None:
        with importing():
            from vggfeat.benchmarks.checkup import findings

        _show(findings(places), form)
        return
    if form == "json":
        raise click.UsageError("--format json is of this machine; leave --weights out.")
    set_up_messages(quiet)
    with importing():
        from vggfeat.backbones.load import load_network
        from vggfeat.doctor import network_facts, top_classes

    network = load_network(net, weights_dir=places.weights, offline=offline)
    for name, value in network_facts(network):
        click.echo(f"{name}: {value}")
    if picture:
        for posterior, name in top_classes(network, picture):
            click.echo(f"{posterior:7.1%}  {name}")


def _show(findings: Iterable[Any], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
        return
    for topic, of_topic in groupby(findings, lambda finding: finding.topic):
        click.echo(f"{topic}:")
        for finding in of_topic:
            _show_one(finding)


def _show_one(finding: Any) -> None:
    """State, name and value in a line, the advice in lines below it."""
    head = f"  {finding.state:<7} {finding.name:<16} "
    rest = " " * len(head)
    click.echo(_wrapped(finding.value, head, rest))
    if finding.advice:
        click.echo(_wrapped(finding.advice, f"{rest}-> ", f"{rest}   "))


def _wrapped(text: str, first: str, later: str) -> str:
    """A text in lines of a terminal's width; addresses and paths are not cut."""
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=later,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
