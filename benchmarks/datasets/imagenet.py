"""ImageNet (ILSVRC-2012) by a probe: trained on its training pictures, tested on `val`; accuracy.

`vggfeat evaluate` scores the nets' own classes on it instead. C is chosen on a drawn part of the
training pictures, as `val` is the test set. Other test sets of its classes are measured alike.
"""

from collections.abc import Callable, Mapping
from functools import partial

from vggfeat.benchmarks.datasets.definition import IMAGENET as GROUP
from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.imagenet_sets import read_imagenet, read_test_set
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part

NUM_TRAIN = 1_281_167
LAST_CLASS = "n15075141"  # which Tiny ImageNet and Imagenette lack
TRAIN = Part("imagenet/train", marker=LAST_CLASS)
TRAIN_BYTES = 147_897_477_120  # of ILSVRC2012_img_train.tar, by TensorFlow Datasets
BY_HAND = (
    "ImageNet is given to those who ask for it at image-net.org: unpack ILSVRC2012_img_train.tar"
    " and the tars in it to imagenet/train/<class>/."
)

IMAGENET = DatasetDefinition(
    name="imagenet",
    title="ImageNet",
    about="1,000 classes, by a probe; scored on val",
    num_pictures=NUM_TRAIN + 50_000,
    source=LoaderRoot(
        name="imagenet",
        parts=(TRAIN, Part("imagenet/val")),
        by_hand=(
            f"{BY_HAND} ILSVRC2012_img_val.tar goes to imagenet/val, sorted by class, or as it is"
            " with the folder ILSVRC2012_devkit_t12 in imagenet."
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy", read=read_imagenet, splits=(GivenSplit(test="val"),)
    ),
    scales=(256,),
    known_counts=(
        KnownCounts(set="train", total=NUM_TRAIN, source="Grill et al. (2020), Table 10"),
        KnownCounts(set="val", total=50_000, source="Grill et al. (2020), Table 10"),
    ),
    group=GROUP,
    licence="non-commercial research and education",  # its terms of access
    disk_bytes=TRAIN_BYTES + 6_744_924_160,  # and that of ILSVRC2012_img_val.tar
)


def other_test_set(
    name: str,
    *,
    title: str,
    about: str,
    pictures: Part,
    disk_bytes: int,
    tested: KnownCounts,
    num_trained: int = NUM_TRAIN,
    wordnet_id: Callable[[str], str] = str,
    facts: Mapping[str, str],
    by_hand: str = BY_HAND,
    licence: str = "",
) -> DatasetDefinition:
    """A test set of ImageNet's classes, for a probe of ImageNet's training pictures of them.

    pictures is its folder of class folders, whose names wordnet_id turns into WordNet ids;
    disk_bytes are its own. It shares the feature files of `imagenet`.
    """
    return DatasetDefinition(
        name=name,
        title=title,
        about=about,
        num_pictures=num_trained + tested.total,
        source=LoaderRoot(name=name, parts=(TRAIN, pictures), by_hand=by_hand),
        build=official_benchmark,
        protocol=OfficialSplits(
            metric="accuracy",
            read=partial(read_test_set, folder=pictures.path, wordnet_id=wordnet_id),
            facts=facts,
        ),
        scales=(256,),
        features_of=IMAGENET.name,
        known_counts=(tested,),
        group=GROUP,
        licence=licence,
        disk_bytes=TRAIN_BYTES + disk_bytes,
    )
