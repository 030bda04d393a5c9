"""CIFAR-100 by its 100 fine labels: 60,000 pictures of 32 x 32 pixels, enlarged; accuracy.

Its files are pickles, each of which torchvision compares with its MD5 first, as those of CIFAR-10.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import sets_in_arrays
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

CLASSES = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
    crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
)

CIFAR100 = DatasetDefinition(
    name="cifar100",
    title="CIFAR-100",
    about="100 fine classes of 32 x 32 pixels",
    num_pictures=60_000,
    source=LoaderRoot(
        name="cifar100",
        parts=(
            Part(
                "cifar-100-python",
                (
                    Source(
                        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                        "md5",
                        "eb9058c3a382ffc7106e4002c42a8d85",
                    ),
                ),
                marker="meta",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=sets_in_arrays("CIFAR100", {"train": {"train": True}, "test": {"train": False}}),
        facts={"labels": "fine"},
    ),
    scales=OfInput(),
    known_counts=tuple(
        KnownCounts(
            set=name,
            total=100 * per_class,
            classes=dict.fromkeys(CLASSES, per_class),
            source="www.cs.toronto.edu/~kriz/cifar.html",
        )
        for name, per_class in (("train", 500), ("test", 100))
    ),
)
