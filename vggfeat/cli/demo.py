"""demo: everything in miniature."""

from pathlib import Path

import click

from vggfeat.cli.bench import job_of, run_bench
from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import FOLDER, format_, quiet
from vggfeat.cli.progress import TrainingDisplay
from vggfeat.storage.folders import folders

DEMO_BENCHMARKS = ("digits", "synthetic_scenes", "synthetic_actions")
# An eighth of the paper's channels, for pictures of 32 pixels and more.
DEMO_NETS = (
    "vgg16:width=0.125,input_size=32@random:0",
    "vgg19:width=0.125,input_size=32@random:1",
)
EXPLANATION = """
What these numbers are: pretraining and measurement in miniature, made on this machine. Nets an
eighth as wide as the paper's, trained on 4,032 generated drawings of 144 invented signs, stand
beside the same nets with random weights, on 1,797 scans of handwritten digits and 450 synthetic
scenes. The first column shows what was learned on the drawings and is of use on the digits.
What they are not: drawings, digits and scenes are no photographs. The numbers say nothing about the
nets of the paper, and no published number compares."""


@main.command()
@click.option("--cache-dir", type=FOLDER, help="Folder for feature files.")
@click.option("--out", type=FOLDER, help="Folder of records; in the cache folder by default.")
@format_
@quiet
def demo(cache_dir: Path | None, out: Path | None, form: str, quiet: bool) -> None:
    """Run everything in miniature: no download, no GPU, under 4 minutes.

    Trains a narrow 11-layer net on generated drawings, from it a 16- and a 19-layer one, and
    measures them beside nets with random weights on scikit-learn's digits and on synthetic scenes,
    through the code that runs Caltech-101, PASCAL VOC and its actions.

    \b
    vggfeat demo
    vggfeat demo --cache-dir /tmp/vggfeat
    """
    with importing():
        from vggfeat.backbones.spec import NetSpec, parse_fusion
        from vggfeat.pretraining.demo import pretrain_demo

    places = folders(cache_dir=cache_dir)
    set_up_messages(quiet)
    trained = []
    with TrainingDisplay(quiet) as display:
        for stage in pretrain_demo(places, display):
            display.end_line()
            trained.append(NetSpec(weights=str(stage.weights)))
    # The 11-layer net is only what the others start from.
    measured = trained[1:]
    nets = [*map(parse_fusion, DEMO_NETS), *((net,) for net in measured), tuple(measured)]
    job = job_of(DEMO_BENCHMARKS, nets, {"cache_dir": cache_dir, "quiet": quiet})
    run_bench(job, out or places.cache / "demo", form, quiet)
    click.echo(EXPLANATION, err=True)
