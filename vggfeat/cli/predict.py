"""predict: what a saved probe says of pictures."""

import csv
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_nets
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import cache_dir, declared, offline, quiet
from vggfeat.cli.progress import ProgressDisplay
from vggfeat.cli.showing import echo_tables
from vggfeat.features.options import Extraction
from vggfeat.plurals import counted
from vggfeat.storage.folders import folders


@main.command()
@click.argument("probe", type=click.Path(path_type=Path))
@click.argument(
    "pictures", nargs=-1, required=True, metavar="PICTURES...", type=click.Path(path_type=Path)
)
@click.option(
    "--net",
    metavar="NET",
    shell_complete=complete_nets,
    help="The net that the probe was fitted with, as `bench --net` has it, where its weights lie"
    " elsewhere now.",
)
@click.option(
    "--top",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="Classes of each picture in the table.",
)
@cache_dir
@declared(Extraction, "on_error", "device")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    help="Precision of the forward pass, if another than that of the probe's features.",
)
@declared(Extraction, "batch_size")
@offline
@quiet
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="What to print; csv and json have the scores of all classes.",
)
def predict(
    probe: Path, pictures: Sequence[Path], net: str | None, top: int, form: str, **options: Any
) -> None:
    """Say which classes pictures are of, by a saved probe.

    PROBE is a file that `bench --save-probe` wrote. PICTURES are files, or folders with pictures in
    and below them. A score is the higher, the likelier the class; it is no probability. Of several
    labels a picture those with a score above 0 are present. Exit status 1 if a picture could not be
    read.

    \b
    vggfeat predict results/caltech101/NET-KEY.probe.safetensors holiday/ cat.jpg
    """
    set_up_messages(True)  # what an extraction reports is of no interest here
    # What is assumed of a net's input was warned of when the probe was fitted; the card holds it.
    logging.getLogger("vggfeat.backbones.network").setLevel(logging.ERROR)
    with importing():
        from vggfeat.probes.prediction import find_pictures, load_probe

    files = find_pictures(pictures)
    cache, is_offline, is_quiet = (options.pop(name) for name in ("cache_dir", "offline", "quiet"))
    weights = folders(cache_dir=cache).weights
    saved = load_probe(probe, net=net, weights_dir=weights, offline=is_offline)
    with ProgressDisplay(is_quiet) as progress:
        predictions = saved.predict(files, progress=progress, **options)
    if form == "csv":
        _write_csv(predictions)
    elif form == "json":
        click.echo(json.dumps(_as_values(predictions), indent=1))
    elif predictions.pictures:
        from vggfeat.report.predictions import table

        echo_tables(table(predictions, top), "table")
    if predictions.skipped:
        raise click.ClickException(
            f"{len(predictions.skipped)} of {counted(len(files), 'picture')} could not be read."
        )


def _decided(predictions: Any) -> tuple[str, Sequence]:
    """What is decided of each picture, and the name of that; no name where only scores are."""
    if not predictions.is_multi_label:
        return "best", predictions.best
    if predictions.has_threshold:
        return "present", predictions.present
    return "", [None] * len(predictions.pictures)


def _write_csv(predictions: Any) -> None:
    name, decided = _decided(predictions)
    sys.stdout.reconfigure(encoding="utf-8")  # names of pictures, whatever the terminal shows
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["picture", *([name] if name else []), *predictions.classes])
    for picture, decision, scores in zip(
        predictions.pictures, decided, predictions.scores, strict=True
    ):
        text = ";".join(decision) if isinstance(decision, list) else decision
        writer.writerow([picture, *([text] if name else []), *map(str, scores)])


def _as_values(predictions: Any) -> list[dict[str, Any]]:
    name, decided = _decided(predictions)
    return [
        {"picture": picture}
        | ({name: decision} if name else {})
        | {"scores": dict(zip(predictions.classes, map(float, scores), strict=True))}
        for picture, decision, scores in zip(
            predictions.pictures, decided, predictions.scores, strict=True
        )
    ]
