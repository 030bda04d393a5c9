"""inspect: what is in a feature file or a folder of them, and if it is sound; cards."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.group import main


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Say what is in a feature file and if it is sound; or show a card.

    Cards are of weights and of saved probes. Of a folder of shards the rows are not read.

    \b
    vggfeat inspect features/caltech101-vgg16-0123456789ab.h5
    vggfeat inspect holidays-shards
    vggfeat inspect runs/vgg16-256.safetensors
    """
    from vggfeat.backbones.spec import FILE_SUFFIXES
    from vggfeat.probes import probe_file
    from vggfeat.weights.formats import kind_of

    if file.name.lower().endswith(probe_file.SUFFIX):
        card, _ = probe_file.read(file)
        click.echo(json.dumps(asdict(card), indent=1))
        return
    if file.suffix.lower() in FILE_SUFFIXES and not kind_of(file):
        raise click.ClickException(
            f"{file}: a net. `vggfeat doctor --weights {file}` describes it."
        )
    if kind_of(file):
        _show_card(file)
        return
    from vggfeat.features import part_files, store

    if file.is_dir():
        _show_shards(file)
        return
    facts = store.inspect(file)
    num_rows, num_scales, dim = facts.shape
    click.echo(f"{file}: {facts.bytes / 1e6:.1f} MB, made {facts.created}")
    click.echo(f"descriptors: {num_rows} pictures x {num_scales} scales x {dim}")
    click.echo(f"done: {facts.num_done} of {num_rows}")
    if parts := part_files.paths(file):
        click.echo(f"parts of several processes, not merged yet: {len(parts)}")
    click.echo(f"rows that are not finite: {facts.num_not_finite}, all zero: {facts.num_zero}")
    if facts.damaged is None:
        click.echo(f"{file}: of schema version 1, which has no checksums", err=True)
    else:
        named = f", {facts.damaged[0]!r} among them" if facts.damaged else ""
        click.echo(f"rows that are not as written: {len(facts.damaged)}{named}")
    _show_conditions(facts.conditions, facts.weights_name)
    for versions in facts.versions:
        click.echo("written by: " + ", ".join(f"{name} {v}" for name, v in versions.items()))


def _show_shards(folder: Path) -> None:
    from vggfeat.features.shards.summary import inspect_folder

    facts = inspect_folder(folder)
    manifest, num_scales = facts.manifest, len(facts.manifest.conditions.scales)
    num_made = manifest.num_parts - len(facts.missing)
    click.echo(f"{folder}: {facts.bytes / 1e6:.1f} MB, begun {manifest.created}")
    click.echo(f"shards: {num_made:,} of {manifest.num_parts:,}")
    if facts.facts is None:
        click.echo(f"descriptors: {num_scales} scales x {manifest.dim}")
        click.echo(f"no index: {facts.reason}")
    else:
        rows = f"{facts.facts.num_rows:,} pictures x {num_scales} scales x {manifest.dim}"
        click.echo(f"descriptors: {rows}")
        click.echo(f"ids that stand in an earlier row, too: {facts.facts.num_duplicates:,}")
        click.echo(f"what is no picture that can be read: {facts.facts.num_broken:,}")
    click.echo(f"compression: {manifest.compression or 'none'}")
    _show_conditions(manifest.conditions, manifest.weights_name)


def _show_conditions(conditions: Any, weights_name: str) -> None:
    for name, value in vars(conditions).items():
        click.echo(f"{name}: {', '.join(map(str, value)) if isinstance(value, tuple) else value}")
    click.echo(f"weights name: {weights_name}")


def _show_card(file: Path) -> None:
    from vggfeat.weights.formats import read_card

    card = read_card(file)
    if card is None:
        raise click.ClickException(
            f"{file}: has no card; it was not exported by vggfeat. `vggfeat doctor --weights"
            f" NET@{file}`, or with the file alone if it is a net, shows what it holds."
        )
    click.echo(json.dumps(card.to_json(), indent=1))
