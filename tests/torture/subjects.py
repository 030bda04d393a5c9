"""What is mutated: for each parser a sound input, how it is changed, and how it is read.

A subject is made in a folder of its own; `files` are the ones that are changed, one at a time. To
read is to do all that a command does with what was read.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torture import mutations

Mutate = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Subject:
    """A parser with a sound input in its folder."""

    files: list[Path]
    mutate: Mutate
    read: Callable[[], object]


SUBJECTS: dict[str, Callable[[Path], Subject]] = {}


def subject(name: str):
    """Enter a function that makes a subject under this name."""

    def enter(make: Callable[[Path], Subject]) -> Callable[[Path], Subject]:
        SUBJECTS[name] = make
        return make

    return enter


def _small_devkit(root: Path, classes: tuple[str, ...]) -> Path:
    from vggfeat.benchmarks.datasets.synthetic_drawing import write_action_lists, write_devkit

    scenes = write_devkit(root, classes, {"train": 3, "val": 2, "test": 2})
    write_action_lists(root, scenes, ("running", "reading"))
    return root


@subject("VOC XML")
def voc_xml(folder: Path) -> Subject:
    from vggfeat.layouts.voc_devkit import Devkit

    root = _small_devkit(folder / "VOC2012", ("cat", "dog"))

    def read():
        devkit = Devkit(root)
        for index in range(1, devkit.num_objects("000001") + 1):
            devkit.box("000001", index)

    return Subject([root / "Annotations/000001.xml"], mutations.of_text, read)


@subject("ILSVRC XML and lists of boxes")
def boxes(folder: Path) -> Subject:
    from helpers.boxed import line, write_boxed, xml

    from vggfeat.layouts.boxes import with_boxes
    from vggfeat.layouts.imagenet import open_pictures

    xmls, lists = folder / "xml", write_boxed(folder / "lists", {"ant": 3, "bee": 3})
    write_boxed(xmls, {"ant": 3, "bee": 3})
    for name in ("ant", "bee"):
        of_class = xmls / "Annotations/CLS-LOC" / name
        of_class.mkdir(parents=True)
        for i in range(3):
            (of_class / f"{i}.xml").write_text(xml([(name, (1, 2, 20, 21)), ("cow", (3, 4, 9, 9))]))
    (lists / "ant/ant_boxes.txt").write_text(line("0.png", [(1, 2, 20, 21)] * 2))
    files = [xmls / "Annotations/CLS-LOC/ant/0.xml", lists / "bee/bee_boxes.txt"]
    opened = [open_pictures(root) for root in (xmls, lists)]
    return Subject(files, mutations.of_text, lambda: [with_boxes(p).digest for p in opened])


@subject("action lists")
def action_lists(folder: Path) -> Subject:
    from dataclasses import replace

    from vggfeat.benchmarks.datasets.voc2012_actions import PICTURE_AND_BOX
    from vggfeat.benchmarks.protocols.voc_action_protocol import actions_benchmark
    from vggfeat.layouts.options import DataOptions

    root = _small_devkit(folder / "VOC2012", ("cat", "dog"))
    protocol = replace(PICTURE_AND_BOX.protocol, actions=("running", "reading"))
    definition = replace(PICTURE_AND_BOX, protocol=protocol)
    lists = sorted((root / "ImageSets/Action").glob("r*.txt"))
    return Subject(
        lists, mutations.of_text, lambda: actions_benchmark(definition, root, DataOptions())
    )


@subject("image-set lists")
def image_sets(folder: Path) -> Subject:
    from dataclasses import replace

    from vggfeat.benchmarks.datasets.voc2007 import VOC2007
    from vggfeat.benchmarks.protocols.voc_protocol import voc_benchmark
    from vggfeat.layouts.options import DataOptions

    root = _small_devkit(folder / "VOC2007", ("cat", "dog"))
    definition = replace(VOC2007, protocol=replace(VOC2007.protocol, classes=("cat", "dog")))
    lists = sorted((root / "ImageSets/Main").glob("*.txt"))
    return Subject(lists, mutations.of_text, lambda: voc_benchmark(definition, root, DataOptions()))


def _flat(folder: Path, devkit: bool, rows=((1, "n03", 0), (2, "n01", 0), (3, "n02", 0))) -> Path:
    import numpy as np
    from helpers.pictures import write_picture
    from scipy.io import savemat

    for i in range(1, 6):
        write_picture(folder / "val" / f"ILSVRC2012_val_0000000{i}.JPEG", size=(8, 8))
    if devkit:
        data = folder / "ILSVRC2012_devkit_t12" / "data"
        data.mkdir(parents=True)
        (data / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n3\n2\n2\n1\n")
        kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)]
        synsets = {"synsets": np.array(list(rows), dtype=kinds)[:, None]}
        savemat(data / "meta.mat", synsets)
        savemat(data / "packed.mat", synsets, do_compression=True)
    return folder


@subject("ground truth")
def ground_truth(folder: Path) -> Subject:
    from helpers.pictures import write_picture

    from vggfeat.layouts.imagenet import open_validation

    devkit, kaggle, tiny = _flat(folder / "a", True), _flat(folder / "b", False), folder / "c"
    solution = kaggle / "LOC_val_solution.csv"
    rows = [f"ILSVRC2012_val_0000000{i},n0{1 + i % 3} 1 2 3 4" for i in range(1, 6)]
    solution.write_text("\n".join(["ImageId,PredictionString", *rows]) + "\n")
    for i in range(3):
        write_picture(tiny / f"val/images/val_{i}.JPEG", size=(8, 8))
    annotations = tiny / "val/val_annotations.txt"
    annotations.write_text("".join(f"val_{i}.JPEG\tn0{i}\t0\t0\t9\t9\n" for i in range(3)))
    truth = devkit / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
    roots = {truth: devkit, solution: kaggle, annotations: tiny}
    return Subject(
        list(roots), mutations.of_text, lambda: [open_validation(root) for root in roots.values()]
    )


@subject("meta.mat")
def meta_mat(folder: Path) -> Subject:
    from vggfeat.layouts import ilsvrc_devkit

    data = _flat(folder, True) / "ILSVRC2012_devkit_t12/data"
    files = [data / "meta.mat", data / "packed.mat"]
    return Subject(
        files, mutations.of_bytes, lambda: [ilsvrc_devkit._wnids(path) for path in files]
    )


@subject("synset lists")
def synset_lists(folder: Path) -> Subject:
    from vggfeat.layouts import ilsvrc_devkit

    root = _flat(folder, False)
    (root / "LOC_val_solution.csv").write_text("")
    path = root / "LOC_synset_mapping.txt"
    path.write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n")
    return Subject([path], mutations.of_text, lambda: ilsvrc_devkit.classes_of(root))


@subject("NetSpec")
def net_spec(folder: Path) -> Subject:
    from vggfeat.backbones.spec import parse_fusion
    from vggfeat.errors import OptionError

    path = folder / "spec"
    path.write_text(
        "vgg16:width=0.5,input_size=96,ceil_mode=true,mean=1/2/3,view=centre@random:3+timm/resnet18"
        ":layer=layer4@a.pth+b.safetensors"
    )

    def read():
        try:
            text = path.read_text()
        except UnicodeDecodeError as error:
            raise OptionError("not a text that can be typed") from error
        [str(net) for net in parse_fusion(text)]

    return Subject([path], mutations.of_text, read)


@subject("archives")
def archives(folder: Path) -> Subject:
    import io
    import shutil
    import tarfile
    import zipfile

    from vggfeat.storage.archives import find_archives, unpack

    files = [folder / name for name in ("a.tar", "a.tar.gz", "a.zip", "b.zip")]
    inner = io.BytesIO()
    for target, mode in ((files[0], "w"), (files[1], "w:gz"), (inner, "w:gz")):
        file = {"fileobj": target} if target is inner else {"name": target}
        with tarfile.open(mode=mode, **file) as tar:
            for i in range(3):
                entry = tarfile.TarInfo(f"x/content/{i}.txt")
                entry.size = 700
                tar.addfile(entry, io.BytesIO(b"0123456" * 100))
    for path, entries in (
        (files[2], {"content/a.txt": b"text" * 99, "content/b.txt": b""}),
        (files[3], {"inner.tar.gz": inner.getvalue()}),
    ):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)

    def read():
        shutil.rmtree(folder / "cache", ignore_errors=True)
        find_archives(folder, "content", [])
        newest = max(files, key=lambda path: path.stat().st_mtime_ns)  # the one that was changed
        unpack([newest], "content", folder / "cache")

    return Subject(files, mutations.of_bytes, read)


@subject("pictures")
def pictures(folder: Path) -> Subject:
    from helpers.pictures import write_picture
    from PIL import Image

    from vggfeat.errors import PictureError
    from vggfeat.images import decode, picture_size

    files = [folder / name for name in ("a.jpg", "b.png", "c.png")]
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    with Image.open(write_picture(files[0], size=(31, 24))) as picture:
        picture.save(files[0], exif=exif, progressive=True)
        picture.save(files[1], exif=exif)
        picture.quantize(9).save(files[2], transparency=3)

    def read():
        refused = None
        for path in files:
            try:
                picture_size(path, exif=True)
                decode(path)
                decode(path, exif=True)
            except PictureError as error:
                refused = error
        if refused:
            raise refused

    return Subject(files, mutations.of_bytes, read)


@subject("tar shards")
def tar_shards(folder: Path) -> Subject:
    import io
    import tarfile

    from vggfeat import images
    from vggfeat.errors import PictureError
    from vggfeat.layouts.open_parts import open_parts

    forms = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT, "ustar": tarfile.USTAR_FORMAT}
    files = [folder / f"{name}.tar" for name in forms]
    for path, form in zip(files, forms.values(), strict=True):
        with tarfile.open(path, "w", format=form) as tar:
            for name in ("a.jpg", "a.cls", f"{'long/' * 19}é.png", "b.jpg"):
                member = tarfile.TarInfo(name)
                member.size = 700
                tar.addfile(member, io.BytesIO(b"x" * 700))

    def read():
        for path in files:
            with open_parts(str(path), copies=folder).opened(0) as part:
                for picture in part.pictures.values():
                    assert len(images.picture_content(picture)) == images.picture_bytes(picture)
                for name, reason in part.broken.items():
                    raise PictureError(f"{name}: {reason}")

    return Subject(files, mutations.of_bytes, read)
