"""Caltech-101 by the paper's protocol (appendix B).

102 classes with the background one, 3 random splits of 30 training and at most 50 test pictures a
class, C chosen on 20 % of the training pictures, scales stacked, mean class recall.
"""

from pathlib import Path

from vggfeat.benchmarks.class_folders import ClassFolderProtocol, class_folder_benchmark
from vggfeat.benchmarks.protocol import Benchmark, DataOptions
from vggfeat.fetch import Source, download, find_archive, unpack
from vggfeat.folders import Folders

CALTECH101_FOLDER = "101_ObjectCategories"
CALTECH101_SOURCES = (
    Source(
        "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
        "md5",
        "3138e1922a9193bfa496528edbbc45d0",
    ),
    Source(
        "http://www.vision.caltech.edu/Image_Datasets/Caltech101/101_ObjectCategories.tar.gz",
        "md5",
        "b224c7392d521a49829488ab0f1120d9",
    ),
)
CALTECH101 = ClassFolderProtocol(
    name="caltech101",
    title="Caltech-101",
    train_per_class=30,
    test_per_class=50,
    scales=(256, 384, 512),
    aggregate="stack",
    background="BACKGROUND_Google",
)


def locate_caltech101(folders: Folders) -> Path | None:
    """The folder or archive of Caltech-101 in the data folder, None if there is neither."""
    names = tuple(source.name for source in CALTECH101_SOURCES)
    for folder in (folders.data, folders.data / "caltech101", folders.data / "caltech-101"):
        if (folder / CALTECH101_FOLDER).is_dir():
            return folder / CALTECH101_FOLDER
        if archive := find_archive(folder, CALTECH101_FOLDER, names):
            return archive
    return folders.data if folders.data.resolve().name == CALTECH101_FOLDER else None


def caltech101(folders: Folders, options: DataOptions, *, offline: bool = False) -> Benchmark:
    """Caltech-101 from its folder, its archive (unpacked into the cache) or the web.

    Raises DatasetError or DownloadError.
    """
    source = locate_caltech101(folders)
    if source is None:
        source = download(CALTECH101_SOURCES, folders.data, offline=offline)
    if source.is_file():
        source = unpack(source, CALTECH101_FOLDER, folders.unpacked)
    return class_folder_benchmark(source, CALTECH101, options)
