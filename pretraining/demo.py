"""Pretraining in miniature, for `vggfeat demo`: narrow nets on generated signs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from vggfeat.pretraining.monitor import Status
from vggfeat.pretraining.overrides import overridden
from vggfeat.pretraining.recipes import recipe
from vggfeat.pretraining.run import FinishedStage, PretrainingJob, pretrain
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.synthetic_signs import write_signs
from vggfeat.storage.files import new_folder
from vggfeat.storage.folders import Folders

VERSION = 1  # of the signs and of the settings here
# An eighth of the paper's channels and a seventh of its picture side, with rates to match.
COMMON = {
    "width": "0.125", "input_size": "32", "batch_size": "32", "dropout": "0.2", "mirror": "false",
    "patience": "1", "drops": "1",
}  # fmt: skip
DEEPER = {"init_std": "0.075", "learning_rate": "0.004", "epochs": "16"}
STAGES = {
    "vgg11-256": {"init": "glorot", "epochs": "11"},
    "vgg16-256": DEEPER,
    "vgg19-256": DEEPER,
}


def pretrain_demo(
    folders: Folders, report: Callable[[Status], None] = lambda status: None
) -> Iterator[FinishedStage]:
    """The 11-layer net, then the 16- and the 19-layer net from it; what is there is kept."""
    pictures = folders.unpacked / f"drawings-{VERSION}"
    if not pictures.is_dir():
        with new_folder(pictures) as temporary:
            write_signs(temporary)
    for name, fields in STAGES.items():
        job = PretrainingJob(
            recipes=[overridden(recipe(name), COMMON | fields, one_stage=True)],
            data=pictures,
            out=runs_folder(folders),
            runtime=RuntimeOptions(),
            command="vggfeat demo",
        )
        yield from pretrain(job, report)


def runs_folder(folders: Folders) -> Path:
    """The folder that the demo's nets are trained in."""
    return folders.cache / f"demo_runs-{VERSION}"
