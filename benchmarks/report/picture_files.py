"""Where the pictures of a benchmark are, if they are at hand: nothing is fetched or unpacked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vggfeat.errors import VggfeatError
from vggfeat.images import Picture

Pictures = Mapping[str, Picture]  # example -> its file, or a crop of one


def pictures_of(benchmark: str, data_dir: Path | None, own: Sequence[Path | str]) -> Pictures | str:
    """The picture of each example of a benchmark; or why they are not at hand, in a sentence.

    own are folders, lists and names of the user's pictures, one of which may be the benchmark.
    """
    from vggfeat.benchmarks.datasets.registry import DATASETS, names_of

    try:
        names = names_of(own)
        if benchmark in names:
            return _by_example(benchmark, data_dir)
        definition = next((d for d in DATASETS if d.name == benchmark), None)
        if definition is None:
            return (
                f"The pictures of {benchmark} are not at hand: name their folder or list with"
                " --pictures."
            )
        return _of_dataset(definition, data_dir)
    except VggfeatError as error:
        return f"The pictures are not shown: {error}"


def _of_dataset(definition, data_dir: Path | None) -> Pictures | str:
    from vggfeat.benchmarks.sources.loader_parts import PACKED_SUFFIXES
    from vggfeat.storage.folders import folders

    # Folders of this machine are nobody's business who gets the page.
    located = definition.source.locate(folders(data_dir))
    if isinstance(located, list) and any(p.name.endswith(PACKED_SUFFIXES) for p in located):
        return "The pictures lie in archives; unpacked they would be shown here."
    if located is None:
        return "The pictures are not at hand: name the folder of the datasets with --data-dir."
    return _by_example(definition.name, data_dir)


def _by_example(name: str, data_dir: Path | None) -> Pictures:
    from vggfeat.benchmarks.datasets.registry import load_benchmark

    benchmark = load_benchmark(name, data_dir, offline=True)
    return {i: benchmark.pictures[ids[0]] for i, ids in benchmark.pictures_of.items()}
