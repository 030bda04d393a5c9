"""Root folders of torchvision's loaders: of folders, archives, parts of them, or nothing at all."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from vggfeat.benchmarks.sources.distribution import Distribution
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.errors import DatasetError, DownloadError
from vggfeat.storage.folders import Folders
from vggfeat.storage.sources import Source

NOWHERE = "http://127.0.0.1:9"
# What each archive or file as distributed holds, shaped like the real ones.
FLOWERS = {
    "102flowers.tgz": {"jpg/image_00001.jpg": b"one", "jpg/image_00002.jpg": b"two"},
    "setid.mat": b"ids",
    "imagelabels.mat": b"labels",
}
DTD = {
    "dtd-r1.0.1.tar.gz": {
        "dtd/images/banded/banded_0002.jpg": b"b",
        "dtd/images/.directory": b"",
        "dtd/labels/train1.txt": b"banded/banded_0002.jpg\n",
        "dtd/imdb/imdb.mat": b"m",
    }
}
PETS = {
    "images.tar.gz": {"images/Abyssinian_1.jpg": b"a", "images/Abyssinian_100.mat": b"no picture"},
    "annotations.tar.gz": {"annotations/trainval.txt": b"x", "annotations/trimaps/A_1.png": b"p"},
}
SUN397 = {
    "SUN397.tar.gz": {"SUN397/ClassName.txt": b"/a/abbey\n", "SUN397/a/abbey/sun_a.jpg": b"s"},
    "Partitions.zip": {"ClassName.txt": b"/a/abbey\n", "Training_01.txt": b"/a/abbey/sun_a.jpg\n"},
}
GTSRB = {
    "GTSRB-Training_fixed.zip": {"GTSRB/Training/00000/00000_00000.ppm": b"p"},
    "GTSRB_Final_Test_Images.zip": {
        "GTSRB/Final_Test/Images/00000.ppm": b"q",
        "GTSRB/Final_Test/Images/GT-final_test.test.csv": b"without classes",
        "GTSRB/Readme-Images-Final-test.txt": b"r",
    },
    "GTSRB_Final_Test_GT.zip": {"GT-final_test.csv": b"Filename;ClassId\n"},
}
PCAM = {
    f"camelyonpatch_level_2_split_train_{what}.h5.gz": what.encode() * 99 for what in ("x", "y")
}
PARTS = {
    "flowers102": (
        FLOWERS,
        {
            "flowers-102/jpg": "102flowers.tgz",
            "flowers-102/setid.mat": "setid.mat",
            "flowers-102/imagelabels.mat": "imagelabels.mat",
        },
        {},
    ),
    "dtd": (DTD, {"dtd/dtd": "dtd-r1.0.1.tar.gz"}, {}),
    "oxford_pet": (
        PETS,
        {
            "oxford-iiit-pet/images": "images.tar.gz",
            "oxford-iiit-pet/annotations": "annotations.tar.gz",
        },
        {},
    ),
    "sun397": (
        SUN397,
        {"SUN397": "SUN397.tar.gz", "SUN397-partitions": "Partitions.zip"},
        {"SUN397-partitions": {"inside": ".", "marker": "Training_01.txt"}},
    ),
    "gtsrb": (
        GTSRB,
        {
            "gtsrb/GTSRB/Training": "GTSRB-Training_fixed.zip",
            "gtsrb/GTSRB/Final_Test": "GTSRB_Final_Test_Images.zip",
            "gtsrb/GT-final_test.csv": "GTSRB_Final_Test_GT.zip",
        },
        {
            "gtsrb/GTSRB/Training": {"inside": "GTSRB/Training"},
            "gtsrb/GTSRB/Final_Test": {"inside": "GTSRB/Final_Test"},
        },
    ),
    "pcam": (PCAM, {f"pcam/{name.removesuffix('.gz')}": name for name in PCAM}, {}),
}
WHOLE = {  # as torchvision's loaders expect them; of what is not read, only some comes along
    "flowers102": [
        "flowers-102/imagelabels.mat", "flowers-102/jpg/image_00001.jpg",
        "flowers-102/jpg/image_00002.jpg", "flowers-102/setid.mat",
    ],
    "dtd": [
        "dtd/dtd/images/.directory", "dtd/dtd/images/banded/banded_0002.jpg",
        "dtd/dtd/imdb/imdb.mat", "dtd/dtd/labels/train1.txt",
    ],
    "oxford_pet": [
        "oxford-iiit-pet/annotations/trainval.txt", "oxford-iiit-pet/annotations/trimaps/A_1.png",
        "oxford-iiit-pet/images/Abyssinian_1.jpg", "oxford-iiit-pet/images/Abyssinian_100.mat",
    ],
    "sun397": [
        "SUN397-partitions/ClassName.txt", "SUN397-partitions/Training_01.txt",
        "SUN397/ClassName.txt", "SUN397/a/abbey/sun_a.jpg",
    ],
    "gtsrb": [
        "gtsrb/GT-final_test.csv", "gtsrb/GTSRB/Final_Test/Images/00000.ppm",
        "gtsrb/GTSRB/Final_Test/Images/GT-final_test.test.csv",
        "gtsrb/GTSRB/Training/00000/00000_00000.ppm",
    ],
    "pcam": [
        "pcam/camelyonpatch_level_2_split_train_x.h5", "pcam/camelyonpatch_level_2_split_train_y.h5"
    ],
}  # fmt: skip


def packed(name, content):
    """The bytes of a file as distributed."""
    buffer = io.BytesIO()
    if isinstance(content, bytes):
        return gzip.compress(content) if name.endswith(".gz") else content
    if name.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w") as archive:
            for path, data in content.items():
                archive.writestr(path, data)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path, data in content.items():
                info = tarfile.TarInfo(path)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Set:
    """A dataset as it is distributed, and the source that knows it."""

    def __init__(self, name, host=NOWHERE):
        content, parts, more = PARTS[name]
        self.name, self.content = name, content
        self.files = {file: packed(file, inside) for file, inside in content.items()}
        self.whole = WHOLE[name]
        digests = {file: hashlib.md5(data).hexdigest() for file, data in self.files.items()}
        self.source = LoaderRoot(
            name,
            tuple(
                Part(
                    path,
                    tuple(Source(f"{h}/{file}", "md5", digests[file]) for h in (NOWHERE, host)),
                    **more.get(path, {}),
                )
                for path, file in parts.items()
            ),
        )

    def distribute(self, folder, *names):
        """Write the files as they are downloaded."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in names or self.files:
            (folder / name).write_bytes(self.files[name])

    def unpack(self, folder, *names):
        """What a user who unpacks the files into a folder has."""
        for name in names or self.files:
            content = self.content[name]
            if isinstance(content, bytes):
                content = {name.removesuffix(".gz"): content}
            for path, data in content.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)


@pytest.fixture(params=PARTS)
def data(request):
    return Set(request.param)


@pytest.fixture
def places(tmp_path):
    (tmp_path / "my dåta").mkdir()
    return Folders(tmp_path / "my dåta", tmp_path / "cåche folder")


def files_below(root):
    paths = (
        os.path.join(at, name) for at, _, names in os.walk(root, followlinks=True) for name in names
    )
    return sorted(os.path.relpath(path, root).replace(os.sep, "/") for path in paths)


def is_untouched(places, before):
    return sorted(places.data.rglob("*")) == before


def base(data):
    """The folder that torchvision unpacks into."""
    first = {part.path.split("/")[0] for part in data.source.parts if "/" in part.path}
    return first.pop() if first else ""


@pytest.mark.parametrize("below", ["", "deep", "deep/er"])
def test_torchvisions_own_folder_is_used_where_it_lies(data, places, below):
    data.unpack(places.data / below / base(data), *data.content)
    if data.name == "sun397":
        folder = places.data / below / "SUN397-partitions"
        folder.mkdir()
        for name in data.content["Partitions.zip"]:
            (places.data / below / name).rename(folder / name)
    assert data.source.open(places, offline=True) == places.data / below
    assert not places.cache.exists()
    assert data.source.locate(places) == places.data / below and not data.source.missing(places)


@pytest.mark.parametrize("below", ["", "FOLDER", "NAME", "mine", "mine/some"])
def test_archives_and_what_is_unpacked_by_hand_give_the_same(data, places, below):
    """FOLDER: where torchvision downloads to. NAME: where `datasets fetch` does."""
    below = below.replace("FOLDER", base(data)).replace("NAME", data.name)
    if below.startswith("mine"):
        data.unpack(places.data / below)
    else:
        data.distribute(places.data / below)
    before = sorted(places.data.rglob("*"))
    root = data.source.open(places, offline=True)
    assert set(data.whole) <= set(files_below(root))
    assert data.source.open(places, offline=True) == root
    assert is_untouched(places, before) and not data.source.missing(places)
    assert data.source.locate(places) and not data.source.altered(places)


def test_half_by_hand_and_half_packed(data, places):
    first, *others = data.files
    data.unpack(places.data / data.name, first)
    if others:
        data.distribute(places.data, *others)
    root = data.source.open(places, offline=True)
    assert set(data.whole) <= set(files_below(root))


def test_only_what_is_missing_is_fetched(data, places, tmp_path, server):
    data = Set(data.name, server)
    first, *others = data.files
    data.distribute(tmp_path / "served", *others)
    data.distribute(places.data, first)
    told = []
    assert [mirrors[0].name for mirrors in data.source.missing(places)] == others
    root = data.source.open(places, progress=lambda *stage: told.append(stage))
    assert set(data.whole) <= set(files_below(root))
    assert {label for label, _, _ in told} == {f"fetching {name}, MB" for name in others}
    assert sorted(p.name for p in (places.data / data.name).glob("*")) == sorted(others)
    assert not data.source.missing(places) and data.source.open(places, offline=True) == root


def test_nothing_there_and_offline_says_what_to_put_where(data, places):
    with pytest.raises(DownloadError) as error:
        data.source.open(places, offline=True)
    for name in data.files:
        assert name in str(error.value)
    assert str(error.value).startswith(f"{places.data / data.name} lacks {len(data.files)} file")
    assert not list(places.data.iterdir())
    assert data.source.locate(places) is None


def test_the_data_folder_may_be_a_link_or_the_datasets_folder(places, tmp_path):
    data = Set("flowers102")
    data.unpack(tmp_path / "elsewhere" / "flowers-102")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "other").symlink_to(tmp_path / "elsewhere" / "flowers-102")
    assert data.source.open(replace(places, data=tmp_path / "link")) == tmp_path / "link"
    inside = replace(places, data=tmp_path / "elsewhere" / "flowers-102")
    assert data.source.open(inside) == tmp_path / "elsewhere"
    assert files_below(data.source.open(replace(places, data=tmp_path / "other"))) == data.whole


def test_wrapped_in_folders_of_the_same_name(places):
    data = Set("dtd")
    data.unpack(places.data / "dtd/dtd/dtd")
    root = data.source.open(places, offline=True)
    assert files_below(root) == data.whole


def test_among_many_files(places, monkeypatch):
    """Of a folder with more entries than are listed, every name may be there."""
    monkeypatch.setattr("vggfeat.benchmarks.sources.loader_parts.MAX_ENTRIES", 3)
    data = Set("flowers102")
    data.unpack(places.data / "mine" / "flowers-102")
    for number in range(9):
        (places.data / f"{number}.jpg").write_bytes(b"")
        (places.data / "mine" / f"{number}.jpg").write_bytes(b"")
    assert data.source.open(places, offline=True) == places.data / "mine"


def test_folders_of_others_are_not_taken(places):
    """Pictures and annotations of other datasets have the same names as those of the pets."""
    for path in ("coco/annotations/a.json", "cub/images/1.jpg", "images/2.jpg", "jpg/3.jpg"):
        (places.data / path).parent.mkdir(parents=True)
        (places.data / path).write_bytes(b"")
    for name in ("oxford_pet", "flowers102"):
        assert Set(name).source.locate(places) is None
    pets = Set("oxford_pet").source
    images, annotations = pets.parts
    for path in ("mine/annotations/list.txt", "mine/images/1.jpg"):
        (places.data / path).parent.mkdir(parents=True, exist_ok=True)
        (places.data / path).write_bytes(b"")
    marked = replace(pets, parts=(images, replace(annotations, marker="trainval.txt")))
    assert marked.locate(places) is None


def test_what_this_tool_has_unpacked_is_not_the_users_folder(tmp_path):
    data, places = Set("gtsrb"), Folders(tmp_path, tmp_path)
    data.distribute(tmp_path)
    data.source.open(places)
    for name in data.files:
        (tmp_path / name).unlink()
    assert data.source.locate(places) is None


def test_the_partitions_of_sun397_may_have_a_folder(places):
    data = Set("sun397")
    inside = {f"Partitions/{name}": text for name, text in SUN397["Partitions.zip"].items()}
    data.files["Partitions.zip"] = packed("Partitions.zip", inside)
    data.distribute(places.data)
    assert files_below(data.source.open(places)) == data.whole
    # Unpacked by hand, into a folder of any name.
    (places.data / "Partitions.zip").unlink()
    for path, text in inside.items():
        (places.data / path).parent.mkdir(exist_ok=True)
        (places.data / path).write_bytes(text)
    assert files_below(data.source.open(places)) == data.whole


def test_one_archive_may_hold_several_parts(places):
    source = LoaderRoot(
        "cars",
        (
            Part("stanford_cars/devkit", archives=("cars.zip",), marker="meta.mat"),
            Part("stanford_cars/cars_test.mat", archives=("cars.zip",)),
        ),
        by_hand="Its home is gone; copies are on Kaggle.",
    )
    with pytest.raises(DatasetError) as error:
        source.open(places)
    assert str(error.value) == (
        f"{places.data}: holds no stanford_cars/devkit (with meta.mat in it),"
        " stanford_cars/cars_test.mat of cars, which cannot be fetched. Its home is gone; copies"
        " are on Kaggle. Put them there under these"
        f" paths, or cars.zip into {places.data / 'cars'}."
    )
    assert not source.is_served and not source.missing(places)
    content = {"x/devkit/meta.mat": b"m", "x/cars_test.mat": b"t", "x/other": b""}
    (places.data / "cars.zip").write_bytes(packed("cars.zip", content))
    root = source.open(places)
    assert files_below(root) == ["stanford_cars/cars_test.mat", "stanford_cars/devkit/meta.mat"]
    (folder,) = places.unpacked.iterdir()
    assert root == folder  # unpacked once, and nothing linked


def test_another_file_than_the_distributed_is_told_and_used(data, places, caplog):
    changed = {
        name: packed(
            name, content + b"!" if isinstance(content, bytes) else {**content, "new": b""}
        )
        for name, content in data.content.items()
    }
    data.files = changed
    data.distribute(places.data)
    assert sorted(path.name for path in data.source.altered(places)) == sorted(changed)
    assert set(data.whole) <= set(files_below(data.source.open(places)))
    for name in changed:
        assert f"{name}: is not the " in caplog.text
    assert caplog.text.count("that is distributed, whose md5 is another") == len(changed)


def test_folders_that_cannot_be_looked_into_are_passed_over(tmp_path_factory):
    """As lost+found on a disk of its own; by another user where this one may see everything."""
    with tempfile.TemporaryDirectory() as name:
        places = Folders(Path(name), tmp_path_factory.getbasetemp())
        data = Set("dtd")
        data.unpack(places.data / "mine")
        (places.data / "lost+found").mkdir(mode=0)
        places.data.chmod(0o755)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            assert data.source.locate(places) == [places.data / "mine/dtd"]
            assert Distribution(name="x", folder="dtd").locate(places) == places.data / "mine/dtd"
        finally:
            if is_root:
                os.seteuid(0)


@pytest.mark.parametrize("damage", ["cut", "a web page"])
def test_damaged_archives_leave_nothing(data, places, damage):
    for name, content in data.files.items():
        if not name.endswith(".mat"):
            data.files[name] = content[: len(content) // 2] if damage == "cut" else b"<html>"
    data.distribute(places.data)
    with pytest.raises(DatasetError, match=": damaged or cut short"):
        data.source.open(places)
    assert files_below(places.cache) == [] and not list(places.unpacked.glob("*"))


def test_an_archive_without_the_part_says_so(places):
    data = Set("flowers102")
    data.files["102flowers.tgz"] = packed("102flowers.tgz", {"other/1.jpg": b""})
    data.distribute(places.data)
    with pytest.raises(DatasetError, match=r"102flowers.tgz: holds no 'jpg'\."):
        data.source.open(places)


def test_entries_that_point_outside_are_not_written(places, tmp_path):
    data = Set("sun397")
    for entry in ("../../outside.txt", "/" + str(tmp_path / "outside.txt").lstrip("/")):
        inside = {**SUN397["Partitions.zip"], entry: b"!"}
        data.files["Partitions.zip"] = packed("Partitions.zip", inside)
        data.distribute(places.data)
        try:
            assert files_below(data.source.open(places)) == data.whole
        except DatasetError as error:
            assert "would leave its folder" in str(error)
        assert not list(tmp_path.rglob("outside.txt"))


def test_a_part_is_not_inside_of_another():
    with pytest.raises(ValueError, match="the part a/b lies inside of the part a"):
        LoaderRoot("x", (Part("a"), Part("a/b")))
    LoaderRoot("x", (Part("a"), Part("ab")))


def test_of_two_processes_one_makes_it(places):
    """Both end with the same whole folder, and nothing half-made is left."""
    data = Set("gtsrb")
    data.distribute(places.data)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part\n"
        "from vggfeat.storage.folders import Folders\n"
        "parts = (Part('gtsrb/GTSRB/Training', archives=('GTSRB-Training_fixed.zip',),"
        " inside='GTSRB/Training'), Part('gtsrb/GT-final_test.csv',"
        " archives=('GTSRB_Final_Test_GT.zip',)))\n"
        f"print(LoaderRoot('gtsrb', parts).open(Folders(Path({str(places.data)!r}),"
        f" Path({str(places.cache)!r}))))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (process.communicate()[0].strip() for process in both)
    assert first == second and [process.returncode for process in both] == [0, 0]
    assert files_below(first) == [
        "gtsrb/GT-final_test.csv", "gtsrb/GTSRB/Training/00000/00000_00000.ppm"
    ]  # fmt: skip
    assert len(list(places.unpacked.iterdir())) == 3  # two archives, and the links to them


def test_links_lead_to_what_was_unpacked_anew(places):
    """After `vggfeat cache clear unpacked` of some of it."""
    data = Set("gtsrb")
    data.distribute(places.data)
    root = data.source.open(places)
    for folder in places.unpacked.iterdir():
        if folder != root:
            shutil.rmtree(folder)
    assert data.source.open(places) == root
    assert set(data.whole) <= set(files_below(root))
