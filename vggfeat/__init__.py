"""vggfeat: how good are a network's frozen features?

    import vggfeat

    results = vggfeat.bench("digits", nets="vgg11@random:0", scales=32)

The names of `__all__` are public and typed, everything else is private. They are imported on first
use, so that `import vggfeat` stays light.
"""

from typing import TYPE_CHECKING

_HOMES = {  # each name again below, for type checkers and editors; a test compares the two
    "Benchmark": "vggfeat.benchmarks.benchmark",
    "ClassFolderProtocol": "vggfeat.benchmarks.protocols.class_folder_protocol",
    "DatasetDefinition": "vggfeat.benchmarks.datasets.definition",
    "Extraction": "vggfeat.features.options",
    "OneVsRestSVM": "vggfeat.probes.svm_estimator",
    "LocalFolder": "vggfeat.benchmarks.sources.local_folder",
    "GivenSplit": "vggfeat.benchmarks.protocols.official_protocol",
    "Labelled": "vggfeat.benchmarks.protocols.labelled_sets",
    "LabelledSets": "vggfeat.benchmarks.protocols.labelled_sets",
    "NetSpec": "vggfeat.backbones.spec",
    "Network": "vggfeat.backbones.network",
    "OfInput": "vggfeat.benchmarks.scales",
    "OfficialSplits": "vggfeat.benchmarks.protocols.official_protocol",
    "PublishedRow": "vggfeat.report.published",
    "Record": "vggfeat.records.record",
    "VGGFeatures": "vggfeat.features.transformer",
    "VggfeatError": "vggfeat.errors",
    "DataOptions": "vggfeat.layouts.options",
    "bench": "vggfeat.benchmarks.bench_nets",
    "compare": "vggfeat.benchmarks.comparison.comparison",
    "bench_features": "vggfeat.benchmarks.bench_features",
    "class_folder_benchmark": "vggfeat.benchmarks.protocols.class_folder_protocol",
    "export_features": "vggfeat.features.exports",
    "extract": "vggfeat.features.extract",
    "load_benchmark": "vggfeat.benchmarks.datasets.registry",
    "load_features": "vggfeat.features.exports",
    "load_network": "vggfeat.backbones.load",
    "official_benchmark": "vggfeat.benchmarks.protocols.official_protocol",
    "open_features": "vggfeat.features.shards.reader",
    "load_probe": "vggfeat.probes.prediction",
    "read_results": "vggfeat.report.frame",
    "sample_ids": "vggfeat.benchmarks.samples",
    "store": "vggfeat",
}
__all__ = [*_HOMES]

if TYPE_CHECKING:
    from vggfeat import store as store
    from vggfeat.backbones.load import load_network as load_network
    from vggfeat.backbones.network import Network as Network
    from vggfeat.backbones.spec import NetSpec as NetSpec
    from vggfeat.benchmarks.bench_features import bench_features as bench_features
    from vggfeat.benchmarks.bench_nets import bench as bench
    from vggfeat.benchmarks.benchmark import Benchmark as Benchmark
    from vggfeat.benchmarks.comparison.comparison import compare as compare
    from vggfeat.benchmarks.datasets.definition import DatasetDefinition as DatasetDefinition
    from vggfeat.benchmarks.datasets.registry import load_benchmark as load_benchmark
    from vggfeat.benchmarks.protocols.class_folder_protocol import (
        ClassFolderProtocol as ClassFolderProtocol,
    )
    from vggfeat.benchmarks.protocols.class_folder_protocol import (
        class_folder_benchmark as class_folder_benchmark,
    )
    from vggfeat.benchmarks.protocols.labelled_sets import Labelled as Labelled
    from vggfeat.benchmarks.protocols.labelled_sets import LabelledSets as LabelledSets
    from vggfeat.benchmarks.protocols.official_protocol import GivenSplit as GivenSplit
    from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits as OfficialSplits
    from vggfeat.benchmarks.protocols.official_protocol import (
        official_benchmark as official_benchmark,
    )
    from vggfeat.benchmarks.samples import sample_ids as sample_ids
    from vggfeat.benchmarks.scales import OfInput as OfInput
    from vggfeat.benchmarks.sources.local_folder import LocalFolder as LocalFolder
    from vggfeat.errors import VggfeatError as VggfeatError
    from vggfeat.features.exports import export_features as export_features
    from vggfeat.features.exports import load_features as load_features
    from vggfeat.features.extract import extract as extract
    from vggfeat.features.options import Extraction as Extraction
    from vggfeat.features.shards.reader import open_features as open_features
    from vggfeat.features.transformer import VGGFeatures as VGGFeatures
    from vggfeat.layouts.options import DataOptions as DataOptions
    from vggfeat.probes.prediction import load_probe as load_probe
    from vggfeat.probes.svm_estimator import OneVsRestSVM as OneVsRestSVM
    from vggfeat.records.record import Record as Record
    from vggfeat.report.frame import read_results as read_results
    from vggfeat.report.published import PublishedRow as PublishedRow

    __version__: str
else:  # unseen by type checkers, for which every name would be Any

    def __getattr__(name: str):
        if name == "__version__":
            from importlib.metadata import version  # as long to import as click

            return version("vggfeat")
        if name not in _HOMES:
            raise AttributeError(f"module 'vggfeat' has no attribute {name!r}")
        from importlib import import_module

        if name == "store":
            return import_module("vggfeat.store")
        return getattr(import_module(_HOMES[name]), name)

    def __dir__() -> list[str]:
        return sorted([*_HOMES, "__version__"])  # and no module that happens to be loaded
