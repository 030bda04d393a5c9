"""demo: everything in miniature."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.bench import job_of
from vggfeat.cli.called import command_name
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import FOLDER, format_, quiet
from vggfeat.cli.showing import show

RANDOM_NET = "vgg11:width=0.125,input_size=32@random:0"
SCALES_OF_SIGNS = (37, 48)  # pixels; the scenes have scales of their own
INTRODUCTION = """\
In 5 steps and about a minute this trains an 11-layer net, an eighth as wide as
the paper's, on drawings that it makes, and compares its frozen features with
those of the same net with random weights on two tasks that neither was trained
for. No download, no GPU.
"""
NEXT = """
Records and scores are in {out}.
Next, pictures of your own, in a folder with a folder for each class; this
fetches 98 MB of weights:

    {command} bench path/to/folder --net resnet50"""


@main.command()
@click.option("--cache-dir", type=FOLDER, help="Folder for feature files.")
@click.option("--out", type=FOLDER, help="Folder of records; in the cache folder by default.")
@format_
@quiet
def demo(cache_dir: Path | None, out: Path | None, form: str, quiet: bool) -> None:
    """Run everything in miniature: no download, no GPU, about a minute.

    Trains a narrow 11-layer net on generated drawings and measures its features beside those of
    random weights, on drawings of other signs and on synthetic scenes, through the code that trains
    the paper's nets and measures Caltech-101 and PASCAL VOC.

    \b
    vggfeat demo
    vggfeat demo --cache-dir /tmp/vggfeat
    """
    with importing():
        from vggfeat.probes.few_threads import at_most_threads
        from vggfeat.storage.folders import folders

    set_up_messages(quiet=True)  # the demo says what it does in its own words
    places = folders(cache_dir=cache_dir)
    out = out or places.cache / "demo"
    say = _silent if quiet else _say
    say(INTRODUCTION)
    # So small a net gains nothing by more threads, and loses much where other programs run.
    with at_most_threads(1):
        pictures, trained = _trained_net(places, say)
        options = {"cache_dir": cache_dir, "quiet": True}
        records = list(_measured(trained, pictures, out, options, say))
    say("step 5 of 5: the table\n")
    chance = [_chance_row(record, out) for record in records[::2]]
    show(records, form, published=chance)
    say(_what_it_shows(records, chance))
    say(NEXT.format(out=out, command=command_name()))


def _say(text: str) -> None:
    click.echo(text, err=True)


def _silent(text: str) -> None:
    pass


def _trained_net(places: Any, say: Callable[[str], None]) -> tuple[Path, Path]:
    """The folder of drawings and the weights of the net that was trained on them."""
    from vggfeat.pretraining import synthetic_signs as signs
    from vggfeat.pretraining.demo import demo_recipe, draw_signs, pretrain_demo

    classes = signs.NUM_SIGNS * len(signs.COLOURS)
    train, held_out = (classes * count for count in signs.COUNTS.values())
    new = signs.NUM_NEW_SIGNS * signs.DRAWINGS_OF_NEW_SIGN
    say(
        f"step 1 of 5: draw {train + held_out:,} pictures of {signs.NUM_SIGNS} invented signs in"
        f" {len(signs.COLOURS)} colours,\n  and {new} of {signs.NUM_NEW_SIGNS} other signs, which"
        " nothing is trained on (10 s)"
    )
    pictures = draw_signs(places)
    epochs = demo_recipe().epochs
    say(
        f"step 2 of 5: train the net to tell the {classes} kinds apart, from {train:,} of the\n"
        f"  pictures; after each epoch the {held_out} others are tried (30 s)"
    )

    def report_epoch(epoch: int, share: float) -> None:
        right, chance = f"{100 * share:3.0f} %", f"{100 / classes:.0f} %"
        say(f"  epoch {epoch:2} of {epochs}: {right} right (by chance {chance})")

    def report(status: Any) -> None:
        if status.batch == 1 and status.error is not None:
            report_epoch(status.epoch - 1, 1 - status.error[1])

    stage = pretrain_demo(pictures, places, report)
    if stage.skipped:
        say("  trained before, and kept")
    report_epoch(stage.accuracy["epoch"], stage.accuracy["top1"])
    return pictures, stage.weights


def _measured(
    trained: Path, pictures: Path, out: Path, options: dict[str, Any], say: Callable[[str], None]
) -> Iterator[Any]:
    """The records of both nets on the signs, then on the scenes."""
    from vggfeat.backbones.spec import NetSpec, parse_fusion
    from vggfeat.benchmarks.bench import bench
    from vggfeat.benchmarks.runner import Failure

    names = {
        parse_fusion(RANDOM_NET): "random weights",
        (NetSpec(weights=str(trained)),): "trained weights",
    }
    tasks = (
        ("which of the new signs does a picture show?", pictures / "new_signs", SCALES_OF_SIGNS),
        ("which coloured shapes are in a synthetic scene?", "synthetic_scenes", None),
    )
    for step, (question, benchmark, scales) in enumerate(tasks, start=3):
        say(f"step {step} of 5: {question}\n  (features of both nets, a linear SVM on each: 10 s)")
        chosen = {"scales": scales} if scales else {}
        job = job_of([str(benchmark)], list(names), options | chosen, names)
        for outcome in bench(job, out, lambda label, done, total: None):
            if isinstance(outcome, Failure):
                raise click.ClickException(f"{outcome.label}: {outcome.reason}")
            value = outcome.metrics[outcome.metric]["value"]
            say(f"  {outcome.method}: {100 * value:.1f} %")
            yield outcome


def _chance_row(record: Any, out: Path) -> Any:
    """What stands in the table for a benchmark where nothing is known of the pictures."""
    from vggfeat.records.chance import chance_level
    from vggfeat.records.record import path_of
    from vggfeat.records.scores import read_scores, scores_path
    from vggfeat.report.published import PublishedRow

    path = path_of(out, record.benchmark, record.net, record.key)
    return PublishedRow(
        benchmark=record.benchmark,
        metric=record.metric,
        value=100 * chance_level(read_scores(scores_path(path)), record.metric),
        source="scores drawn by lot",
        kind="best shallow",
        method="chance",
        notes="scores drawn by lot",
    )


def _what_it_shows(records: Sequence[Any], chance: Sequence[Any]) -> str:
    """Three sentences on the records, in pairs of random and trained weights a benchmark."""
    pairs = [
        [100 * record.metrics[record.metric]["value"] for record in pair]
        for pair in zip(records[::2], records[1::2], strict=True)
    ]
    signs, scenes = (
        f"from {random:.1f} to {trained:.1f} % (chance {row.value:.1f} %)"
        for (random, trained), row in zip(pairs, chance, strict=True)
    )
    better = sum(trained > random for random, trained in pairs)
    return f"""
1. Training helped in {better} of 2 columns:
   {signs} on new signs,
   {scenes} on scenes.
2. Neither net was trained for these tasks: what was learned on other drawings
   was of use for them, and how much is what vggfeat measures.
3. Drawings are no photographs: no published number compares, and these say
   nothing about the paper's nets, which the same code trains and measures."""
