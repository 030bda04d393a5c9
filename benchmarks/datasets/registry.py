"""The benchmarks by name: which dataset each is made of, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets import distribution, embedded
from vggfeat.benchmarks.datasets.caltech import CALTECH101, CALTECH256
from vggfeat.benchmarks.datasets.class_folder_protocol import class_folder_benchmark
from vggfeat.benchmarks.datasets.embedded import EmbeddedDataset
from vggfeat.benchmarks.datasets.voc_action_protocol import (
    PICTURE_AND_BOX,
    WHOLE_PICTURE,
    actions_benchmark,
)
from vggfeat.benchmarks.datasets.voc_protocol import VOC2007, VOC2012, voc_benchmark
from vggfeat.errors import UnknownNameError
from vggfeat.layouts.options import DataOptions
from vggfeat.storage.download import Progress
from vggfeat.storage.folders import Folders, folders


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A benchmark that is not loaded yet."""

    num_pictures: int
    num_crops: int = 0
    about: str
    dataset: distribution.Dataset | EmbeddedDataset
    protocol: Any  # what `build` takes; it states the default scales
    build: Callable[..., Benchmark]  # of the dataset's folder, the DataOptions and the protocol
    in_paper: bool = True  # `bench --all` runs those that are


BENCHMARKS: Mapping[str, Entry] = {
    "voc2007": Entry(
        num_pictures=9963,
        about="20 classes, several in a picture",
        dataset=distribution.VOC2007,
        protocol=VOC2007,
        build=voc_benchmark,
    ),
    "voc2012": Entry(
        num_pictures=11540,
        about="20 classes, several in a picture; scored on val",
        dataset=distribution.VOC2012,
        protocol=VOC2012,
        build=voc_benchmark,
    ),
    "caltech101": Entry(
        num_pictures=9144,
        about="102 classes with the background",
        dataset=distribution.CALTECH101,
        protocol=CALTECH101,
        build=class_folder_benchmark,
    ),
    "caltech256": Entry(
        num_pictures=30607,
        about="257 classes with the clutter",
        dataset=distribution.CALTECH256,
        protocol=CALTECH256,
        build=class_folder_benchmark,
    ),
    "voc2012_actions": Entry(
        num_pictures=4588,
        about="10 actions of 6,278 people; the whole picture",
        dataset=distribution.VOC2012,
        protocol=WHOLE_PICTURE,
        build=actions_benchmark,
    ),
    "voc2012_actions_box": Entry(
        num_pictures=4588,
        num_crops=6278,
        about="the same; the whole picture and the person's box",
        dataset=distribution.VOC2012,
        protocol=PICTURE_AND_BOX,
        build=actions_benchmark,
    ),
    "digits": Entry(
        num_pictures=1797,
        about="10 classes of scans, for trying things out",
        dataset=embedded.DIGITS_DATASET,
        protocol=embedded.DIGITS,
        build=class_folder_benchmark,
        in_paper=False,
    ),
    "synthetic_scenes": Entry(
        num_pictures=450,
        about="8 classes of shapes, several in a picture",
        dataset=embedded.SCENES_DATASET,
        protocol=embedded.SCENES,
        build=voc_benchmark,
        in_paper=False,
    ),
    "synthetic_actions": Entry(
        num_pictures=450,
        about="7 actions of shapes in the same pictures, with boxes",
        dataset=embedded.SCENES_DATASET,
        protocol=embedded.SCENE_ACTIONS,
        build=actions_benchmark,
        in_paper=False,
    ),
}


def load_benchmark(
    name: str,
    data_dir: Path | None = None,
    options: DataOptions | None = None,
    *,
    places: Folders | None = None,
    offline: bool = False,
    progress: Progress = lambda label, done, total: None,
) -> Benchmark:
    """The benchmark of this name, its dataset found in data_dir, unpacked or fetched.

    places says where everything lies instead of data_dir and the user's cache folder. Raises
    UnknownNameError, DatasetError or DownloadError.
    """
    entry = entry_of(name)
    root = entry.dataset.open(places or folders(data_dir), offline=offline, progress=progress)
    return entry.build(root, options or DataOptions(), entry.protocol)


def entry_of(name: str) -> Entry:
    if name not in BENCHMARKS:
        raise UnknownNameError("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]
