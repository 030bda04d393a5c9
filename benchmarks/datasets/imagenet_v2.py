"""ImageNetV2, matched frequency: ImageNet's test set collected again; trained on ImageNet.

Its class folders are the numbers of the classes in the order of their WordNet ids.
"""

from functools import partial

from vggfeat.benchmarks.datasets.definition import IMAGENET as GROUP
from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.datasets.imagenet import BY_HAND, IMAGENET, TRAIN, TRAIN_BYTES
from vggfeat.benchmarks.protocols.imagenet_sets import numbered_class, read_test_set
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

FOLDER = "imagenetv2-matched-frequency-format-val"

IMAGENET_V2 = DatasetDefinition(
    name="imagenet_v2",
    title="ImageNetV2",
    about="ImageNet's test set, collected again",
    num_pictures=1_281_167 + 10_000,
    source=LoaderRoot(
        name="imagenet_v2",
        parts=(
            TRAIN,
            Part(
                FOLDER,
                (
                    Source(
                        "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",
                        "sha256",
                        "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
                        1_264_079_360,
                    ),
                ),
                marker="999",
            ),
        ),
        by_hand=BY_HAND,
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=partial(read_test_set, folder=FOLDER, wordnet_id=numbered_class),
        facts={"training_pictures": "ImageNet's", "test_set": "matched frequency"},
    ),
    scales=(256,),
    features_of=IMAGENET.name,
    known_counts=(
        KnownCounts(
            set="test", total=10_000, per_class=10, source="readme of modestyachts/ImageNetV2"
        ),
    ),
    group=GROUP,
    licence="each photograph's, by Flickr",
    disk_bytes=TRAIN_BYTES + 1_264_079_360,  # the tar of ImageNet's training pictures, and its own
)
