"""Stanford Cars: 8,144 pictures to train on and 8,041 to test, of 196 models; accuracy.

Its page is gone, so its files have to be put in place by hand.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import sets_of_files
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part

DOCS = "torchvision's documentation"

STANFORD_CARS = DatasetDefinition(
    name="stanford_cars",
    title="Stanford Cars",
    about="196 makes, models and years",
    num_pictures=16_185,
    source=LoaderRoot(
        name="stanford_cars",
        parts=(
            Part("stanford_cars/cars_train", archives=("cars_train.tgz",), marker="00001.jpg"),
            Part("stanford_cars/cars_test", archives=("cars_test.tgz",), marker="00001.jpg"),
            Part("stanford_cars/devkit", archives=("car_devkit.tgz",), marker="cars_meta.mat"),
            # The labels that the devkit's cars_test_annos.mat leaves out.
            Part("stanford_cars/cars_test_annos_withlabels.mat"),
        ),
        by_hand="Its page at Stanford is gone: github.com/pytorch/vision/issues/7545 says where"
        " copies are.",
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=sets_of_files(
            "StanfordCars", "stanford_cars", {name: {"split": name} for name in ("train", "test")}
        ),
    ),
    scales=(256,),
    known_counts=(
        KnownCounts(set="train", total=8144, source=DOCS),
        KnownCounts(set="test", total=8041, source=DOCS),
    ),
)
