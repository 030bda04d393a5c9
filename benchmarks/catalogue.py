"""The benchmarks by name: which dataset each is made of, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vggfeat.benchmarks import datasets, embedded
from vggfeat.benchmarks.actions import PICTURE_AND_BOX, WHOLE_PICTURE, actions_benchmark
from vggfeat.benchmarks.caltech import CALTECH101, CALTECH256
from vggfeat.benchmarks.class_folders import class_folder_benchmark
from vggfeat.benchmarks.embedded import EmbeddedDataset
from vggfeat.benchmarks.options import DataOptions
from vggfeat.benchmarks.protocol import Benchmark
from vggfeat.benchmarks.voc import VOC2007, VOC2012, VOC_SCALES, voc_benchmark
from vggfeat.errors import UnknownNameError
from vggfeat.fetch import Progress
from vggfeat.folders import Folders, folders


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A benchmark that is not loaded yet."""

    num_pictures: int
    num_crops: int = 0
    about: str
    scales: tuple[int, ...]
    dataset: datasets.Dataset | EmbeddedDataset
    build: Callable[[Path, DataOptions], Benchmark]
    in_paper: bool = True  # `bench --all` runs those that are


BENCHMARKS: Mapping[str, Entry] = {
    "voc2007": Entry(
        num_pictures=9963,
        about="20 classes, several in a picture",
        scales=VOC_SCALES,
        dataset=datasets.VOC2007,
        build=partial(voc_benchmark, protocol=VOC2007),
    ),
    "voc2012": Entry(
        num_pictures=11540,
        about="20 classes, several in a picture; scored on val",
        scales=VOC_SCALES,
        dataset=datasets.VOC2012,
        build=partial(voc_benchmark, protocol=VOC2012),
    ),
    "caltech101": Entry(
        num_pictures=9144,
        about="102 classes with the background",
        scales=CALTECH101.scales,
        dataset=datasets.CALTECH101,
        build=partial(class_folder_benchmark, protocol=CALTECH101),
    ),
    "caltech256": Entry(
        num_pictures=30607,
        about="257 classes with the clutter",
        scales=CALTECH256.scales,
        dataset=datasets.CALTECH256,
        build=partial(class_folder_benchmark, protocol=CALTECH256),
    ),
    "voc2012_actions": Entry(
        num_pictures=4588,
        about="10 actions of 6,278 people; the whole picture",
        scales=VOC_SCALES,
        dataset=datasets.VOC2012,
        build=partial(actions_benchmark, protocol=WHOLE_PICTURE),
    ),
    "voc2012_actions_box": Entry(
        num_pictures=4588,
        num_crops=6278,
        about="the same; the whole picture and the person's box",
        scales=VOC_SCALES,
        dataset=datasets.VOC2012,
        build=partial(actions_benchmark, protocol=PICTURE_AND_BOX),
    ),
    "digits": Entry(
        num_pictures=1797,
        about="10 classes of scans, for trying things out",
        scales=embedded.DIGITS.scales,
        dataset=embedded.DIGITS_DATASET,
        build=partial(class_folder_benchmark, protocol=embedded.DIGITS),
        in_paper=False,
    ),
    "synthetic_scenes": Entry(
        num_pictures=450,
        about="8 classes of shapes, several in a picture",
        scales=embedded.SCENES.scales,
        dataset=embedded.SCENES_DATASET,
        build=partial(voc_benchmark, protocol=embedded.SCENES),
        in_paper=False,
    ),
    "synthetic_actions": Entry(
        num_pictures=450,
        about="7 actions of shapes in the same pictures, with boxes",
        scales=embedded.SCENES.scales,
        dataset=embedded.SCENES_DATASET,
        build=partial(actions_benchmark, protocol=embedded.SCENE_ACTIONS),
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
    return entry.build(root, options=options or DataOptions())


def entry_of(name: str) -> Entry:
    if name not in BENCHMARKS:
        raise UnknownNameError("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]
