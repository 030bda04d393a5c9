"""EuroSAT: 27,000 satellite pictures of 64 x 64 pixels, split at random; accuracy.

It has no sets, and every paper has a split of its own: these numbers are compared with nobody's.
"""

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import sets_of_files
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.storage.sources import Source

PICTURES = {
    "AnnualCrop": 3000, "Forest": 3000, "HerbaceousVegetation": 3000, "Highway": 2500,
    "Industrial": 2500, "Pasture": 2000, "PermanentCrop": 2500, "Residential": 3000, "River": 2500,
    "SeaLake": 3000,
}  # fmt: skip

EUROSAT = DatasetDefinition(
    name="eurosat",
    title="EuroSAT",
    about="10 land uses of 64 x 64 pixels, split at random",
    num_pictures=27_000,
    licence="MIT",  # its repository
    source=LoaderRoot(
        name="eurosat",
        parts=(
            Part(
                "eurosat/2750",
                (
                    Source(
                        "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                        "md5",
                        "c8fa014336c82ac7804f0398fcb19387",
                        94_280_567,
                    ),
                ),
                inside=".",  # a folder 2750, or EuroSAT_RGB as Zenodo has it
                marker="AnnualCrop",
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy", read=sets_of_files("EuroSAT", "eurosat", {"all": {}}), splits=()
    ),
    scales=OfInput(),
    known_counts=(
        KnownCounts(
            set="all", total=27_000, classes=PICTURES, source="what public programs count in it"
        ),
    ),
)
