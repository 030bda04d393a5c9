"""Caltech-101 by the paper's protocol (appendix B).

3 random splits of 30 training pictures a class and at most 50 to test; C chosen on 20 % of the
training pictures, scales stacked, mean class recall. The background counts as a class: 102.
"""

from vggfeat.benchmarks.datasets.definition import IN_PAPER, DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.class_folder_protocol import (
    ClassFolderProtocol,
    class_folder_benchmark,
)
from vggfeat.benchmarks.sources.distribution import Distribution
from vggfeat.storage.sources import Source

# Digests and sizes as TensorFlow Datasets and CaltechDATA state them.
TAR_SHA256 = "af6ece2f339791ca20f855943d8b55dd60892c0a25105fcd631ee3d6430f9926"
PICTURES = {
    "accordion": 55, "airplanes": 800, "anchor": 42, "ant": 42, "BACKGROUND_Google": 467,
    "barrel": 47, "bass": 54, "beaver": 46, "binocular": 33, "bonsai": 128, "brain": 98,
    "brontosaurus": 43, "buddha": 85, "butterfly": 91, "camera": 50, "cannon": 43, "car_side": 123,
    "ceiling_fan": 47, "cellphone": 59, "chair": 62, "chandelier": 107, "cougar_body": 47,
    "cougar_face": 69, "crab": 73, "crayfish": 70, "crocodile": 50, "crocodile_head": 51,
    "cup": 57, "dalmatian": 67, "dollar_bill": 52, "dolphin": 65, "dragonfly": 68,
    "electric_guitar": 75, "elephant": 64, "emu": 53, "euphonium": 64, "ewer": 85, "Faces": 435,
    "Faces_easy": 435, "ferry": 67, "flamingo": 67, "flamingo_head": 45, "garfield": 34,
    "gerenuk": 34, "gramophone": 51, "grand_piano": 99, "hawksbill": 100, "headphone": 42,
    "hedgehog": 54, "helicopter": 88, "ibis": 80, "inline_skate": 31, "joshua_tree": 64,
    "kangaroo": 86, "ketch": 114, "lamp": 61, "laptop": 81, "Leopards": 200, "llama": 78,
    "lobster": 41, "lotus": 66, "mandolin": 43, "mayfly": 40, "menorah": 87, "metronome": 32,
    "minaret": 76, "Motorbikes": 798, "nautilus": 55, "octopus": 35, "okapi": 39, "pagoda": 47,
    "panda": 38, "pigeon": 45, "pizza": 53, "platypus": 34, "pyramid": 57, "revolver": 82,
    "rhino": 59, "rooster": 49, "saxophone": 40, "schooner": 63, "scissors": 39, "scorpion": 84,
    "sea_horse": 57, "snoopy": 35, "soccer_ball": 64, "stapler": 45, "starfish": 86,
    "stegosaurus": 59, "stop_sign": 64, "strawberry": 35, "sunflower": 85, "tick": 49,
    "trilobite": 86, "umbrella": 75, "watch": 239, "water_lilly": 37, "wheelchair": 59,
    "wild_cat": 34, "windsor_chair": 56, "wrench": 39, "yin_yang": 60,
}  # fmt: skip

CALTECH101 = DatasetDefinition(
    name="caltech101",
    title="Caltech-101",
    about="102 classes with the background",
    num_pictures=9144,
    source=Distribution(
        name="caltech101",
        folder="101_ObjectCategories",
        archives=(
            (
                Source(
                    "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
                    "sha256",
                    "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
                    137_414_764,
                ),
                Source(
                    "https://s3.amazonaws.com/fast-ai-imageclas/caltech_101.tgz",
                    "sha256",
                    TAR_SHA256,
                    131_740_031,
                ),
                Source(
                    "http://www.vision.caltech.edu/Image_Datasets/Caltech101/101_ObjectCategories.tar.gz",
                    "sha256",
                    TAR_SHA256,
                    131_740_031,
                ),
            ),
        ),
    ),
    build=class_folder_benchmark,
    protocol=ClassFolderProtocol(
        train_per_class=30, test_per_class=50, background="BACKGROUND_Google"
    ),
    scales=(256, 384, 512),
    aggregate="stack",
    known_counts=(
        KnownCounts(set="all", total=9144, classes=PICTURES, source="the unpacked archive"),
    ),
    in_paper=True,
    group=IN_PAPER,
    licence="CC BY 4.0",  # as CaltechDATA's record states
)
