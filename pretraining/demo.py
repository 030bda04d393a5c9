"""Pretraining in miniature, for `vggfeat demo`: a narrow net on generated signs."""

from collections.abc import Callable
from pathlib import Path

from vggfeat.pretraining.monitor import Status
from vggfeat.pretraining.overrides import overridden
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.recipes import recipe
from vggfeat.pretraining.run import FinishedStage, PretrainingJob, pretrain
from vggfeat.pretraining.runtime import RuntimeOptions
from vggfeat.pretraining.synthetic_signs import write_new_signs, write_signs
from vggfeat.storage.files import new_folder
from vggfeat.storage.folders import Folders

VERSION = 2  # of the signs and of the settings here
# An eighth of the paper's channels and a seventh of its picture side, with what trains it fast.
FIELDS = {
    "width": "0.125", "input_size": "32", "batch_size": "32", "dropout": "0.2", "mirror": "false",
    "init": "glorot", "epochs": "12", "patience": "1", "drops": "1",
}  # fmt: skip


def draw_signs(folders: Folders) -> Path:
    """A folder with known/, class folders to train on, and new_signs/; kept if it is there."""
    pictures = folders.unpacked / f"drawings-{VERSION}"
    if not pictures.is_dir():
        with new_folder(pictures) as temporary:
            write_signs(temporary / "known")
            write_new_signs(temporary / "new_signs")
    return pictures


def demo_recipe() -> Recipe:
    """The recipe of the demo's net."""
    return overridden(recipe("vgg11-256"), FIELDS, one_stage=True)


def pretrain_demo(
    pictures: Path, folders: Folders, report: Callable[[Status], None] = lambda status: None
) -> FinishedStage:
    """The demo's net, trained on pictures/known; what is there is kept."""
    job = PretrainingJob(
        recipes=[demo_recipe()],
        data=pictures / "known",
        out=folders.cache / f"demo_runs-{VERSION}",
        runtime=RuntimeOptions(),
        command="vggfeat demo",
    )
    (stage,) = pretrain(job, report)
    return stage
