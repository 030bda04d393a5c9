"""vggfeat: how good are a network's frozen features?

    from vggfeat import load_network, extract, Benchmark

The names are imported on first use, so that `import vggfeat` stays light.
"""

from importlib import import_module

_HOMES = {
    "Benchmark": "vggfeat.benchmarks.benchmark",
    "ClassFolderProtocol": "vggfeat.benchmarks.datasets.class_folder_protocol",
    "DatasetDefinition": "vggfeat.benchmarks.datasets.definition",
    "Extraction": "vggfeat.features.options",
    "OneVsRestSVM": "vggfeat.probes.svm_estimator",
    "LocalFolder": "vggfeat.benchmarks.datasets.local_folder",
    "PublishedRow": "vggfeat.report.published",
    "VggfeatError": "vggfeat.errors",
    "DataOptions": "vggfeat.layouts.options",
    "compare": "vggfeat.benchmarks.comparison.comparison",
    "bench_features": "vggfeat.benchmarks.bench_features",
    "class_folder_benchmark": "vggfeat.benchmarks.datasets.class_folder_protocol",
    "export_features": "vggfeat.features.exports",
    "extract": "vggfeat.features.extract",
    "load_benchmark": "vggfeat.benchmarks.datasets.registry",
    "load_features": "vggfeat.features.exports",
    "load_network": "vggfeat.backbones.load",
    "load_probe": "vggfeat.probes.prediction",
    "read_results": "vggfeat.report.frame",
    "sample_ids": "vggfeat.benchmarks.samples",
}
__all__ = [*_HOMES]


def __getattr__(name: str):
    if name == "__version__":
        from importlib.metadata import version  # as long to import as click

        return version("vggfeat")
    if name not in _HOMES:
        raise AttributeError(f"module 'vggfeat' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "__version__"])
