"""The list of datasets. A new one is a file with its definition and one line here.

A user's own is named by its path: a folder or a CSV list of pictures (own_pictures.py), or a Python
file that defines it, `my_file.py:MY_DATASET` (user_file.py). Others' are named by where they are
listed: `torchvision:CIFAR10` (by_name.py).
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets import (
    by_name,
    caltech101,
    caltech256,
    cifar10,
    cifar100,
    country211,
    cub200,
    digits,
    dtd,
    eurosat,
    fgvc_aircraft,
    flowers102,
    food101,
    gtsrb,
    imagenet,
    imagenet_a,
    imagenet_r,
    imagenet_sketch,
    imagenet_v2,
    own_pictures,
    oxford_pet,
    pcam,
    stanford_cars,
    stl10,
    sun397,
    svhn,
    synthetic,
    user_file,
    voc2007,
    voc2012,
    voc2012_actions,
)
from vggfeat.benchmarks.datasets.definition import DatasetDefinition, Fetchable
from vggfeat.benchmarks.shots import few_shots
from vggfeat.errors import DatasetError, UnknownNameError
from vggfeat.layouts.options import DataOptions
from vggfeat.progress import Progress, no_progress
from vggfeat.report.published import CLASSIFICATION, LOCALISATION
from vggfeat.storage.folders import Folders, folders

DATASETS: tuple[DatasetDefinition, ...] = (
    voc2007.VOC2007,
    voc2012.VOC2012,
    caltech101.CALTECH101,
    caltech256.CALTECH256,
    voc2012_actions.WHOLE_PICTURE,
    voc2012_actions.PICTURE_AND_BOX,
    flowers102.FLOWERS102,
    dtd.DTD,
    dtd.DTD_1,
    oxford_pet.OXFORD_PET,
    food101.FOOD101,
    sun397.SUN397,
    sun397.SUN397_1,
    stanford_cars.STANFORD_CARS,
    fgvc_aircraft.FGVC_AIRCRAFT,
    cub200.CUB200,
    cifar10.CIFAR10,
    cifar100.CIFAR100,
    stl10.STL10,
    stl10.STL10_FOLDS,
    svhn.SVHN,
    eurosat.EUROSAT,
    country211.COUNTRY211,
    gtsrb.GTSRB,
    pcam.PCAM,
    imagenet.IMAGENET,
    imagenet_v2.IMAGENET_V2,
    imagenet_r.IMAGENET_R,
    imagenet_a.IMAGENET_A,
    imagenet_sketch.IMAGENET_SKETCH,
    digits.DIGITS,
    synthetic.SYNTHETIC_SCENES,
    synthetic.SYNTHETIC_ACTIONS,
)
# Benchmarks whose records are made by other commands.
RESERVED = (CLASSIFICATION, LOCALISATION)
TAKEN = frozenset((*(definition.name for definition in DATASETS), *RESERVED))

_from_user_files: dict[str, DatasetDefinition] = {}
# Those that names_of has named, and the current folder then.
_from_paths: dict[str, tuple[DatasetDefinition, str]] = {}


def definition_of(name: str | Path) -> DatasetDefinition:
    """The definition of a dataset by its name, its path, or the user's file that holds it.

    A benchmark's name comes before a folder that is called so, which `./name` or a Path leads to.
    After `my_file.py:MY_DATASET` was named once, or names_of has named a path, the dataset's name
    will do; after a change of the current folder what has this name there comes first. Raises
    UnknownNameError, and DatasetError at a file without such a definition and at a definition with
    a name that another dataset has.
    """
    definitions = _definitions()
    if isinstance(name, str) and user_file.is_user_file(name):
        definition = user_file.load_definition(name)
        if definitions.get(definition.name) is not definition:
            _check_names(name, definition, definitions)
            _from_user_files[definition.name] = definition
        return definition
    if isinstance(name, str) and name in definitions:
        return definitions[name]
    known, folder = _from_paths.get(name, (None, ""))
    if known and (folder == os.getcwd() or not os.path.exists(name)):
        return known
    return _dataset_at(name)


def _definitions() -> dict[str, DatasetDefinition]:
    return {definition.name: definition for definition in DATASETS} | _from_user_files


def _dataset_at(path: str | Path) -> DatasetDefinition:
    """The dataset of a folder or a list, or of torchvision's. Raises as definition_of."""
    if isinstance(path, str) and by_name.is_by_name(path):
        return by_name.dataset_named(path, dict.fromkeys(RESERVED) | {d.name: d for d in DATASETS})
    if definition := own_pictures.dataset_at(path, taken=TAKEN):
        return definition
    name = os.fspath(path)
    raise UnknownNameError("benchmark", name, _definitions(), reason=own_pictures.why_none(name))


def _check_names(
    named: str, definition: DatasetDefinition, existing: Mapping[str, DatasetDefinition]
) -> None:
    """Raise DatasetError where files of this dataset would be taken for those of another."""
    if definition.name in existing or definition.name in RESERVED:
        raise DatasetError(
            f"{named}: another dataset has the name {definition.name!r}. Choose one that no other"
            " has: feature files and records are known by it."
        )
    source = definition.source
    if any(source.name == d.source.name and source != d.source for d in existing.values()):
        raise DatasetError(f"{named}: another dataset has a source named {source.name!r}.")
    shared = existing.get(definition.features_of)
    if definition.features_of and (shared is None or shared.source != source):
        raise DatasetError(
            f"{named}: features_of is {definition.features_of!r}, which is no dataset of the same"
            " source."
        )


def names_of(names: Sequence[str | Path]) -> list[str]:
    """The datasets' own names, each once, of names, paths and users' files.

    By these names `definition_of` knows them from then on. Raises as definition_of, and
    DatasetError at two paths of the same name.
    """
    chosen: dict[str, tuple[str | Path, DatasetDefinition]] = {}
    definitions = _definitions()
    for name in names:
        # A name that an earlier command gave to a path does not stand in the way of this one's.
        is_text = isinstance(name, str)
        is_known = is_text and (user_file.is_user_file(name) or name in definitions)
        definition = definition_of(name) if is_known else _named_before(name) or _dataset_at(name)
        earlier, same = chosen.setdefault(definition.name, (name, definition))
        if same != definition:
            raise DatasetError(
                f"{earlier} and {name}: both are called {definition.name!r}. Rename one of them, or"
                " measure them by two commands, each with an --out of its own."
            )
    folder = os.getcwd()
    _from_paths.update({n: (d, folder) for n, (_, d) in chosen.items() if own_pictures.is_own(d)})
    return list(chosen)


def _named_before(name: str | Path) -> DatasetDefinition | None:
    """The dataset of an earlier path that had this name, where no such path is there."""
    known, _ = _from_paths.get(os.fspath(name), (None, ""))
    return None if os.path.exists(name) else known


def names_in_paper() -> list[str]:
    """The datasets that `bench --all` measures."""
    return [definition.name for definition in DATASETS if definition.in_paper]


def distributions() -> dict[str, Fetchable]:
    """What can be fetched, or must be asked for, by its name."""
    sources = [d.source for d in DATASETS if isinstance(d.source, Fetchable)]
    return {source.name: source for source in sorted(sources, key=lambda source: source.name)}


def distribution_of(name: str) -> Fetchable:
    """The source of this name, or that of a dataset of this name.

    Raises UnknownNameError, and DatasetError where a user's dataset has nothing to fetch.
    """
    by_dataset = {d.name: d.source for d in DATASETS if isinstance(d.source, Fetchable)}
    by_name = by_dataset | distributions()
    if user_file.is_user_file(name):
        source = definition_of(name).source
        if not isinstance(source, Fetchable) or not source.files:
            raise DatasetError(f"{name}: has no archives to fetch.")
        return source
    if name not in by_name:
        raise UnknownNameError("dataset", name, by_name)
    return by_name[name]


def load_benchmark(
    name: str | Path,
    data_dir: Path | str | None = None,
    options: DataOptions | None = None,
    *,
    places: Folders | None = None,
    offline: bool = False,
    progress: Progress = no_progress,
) -> Benchmark:
    """The benchmark of this name or path, its dataset in data_dir, unpacked or fetched.

    places says where everything lies instead of data_dir and the user's cache folder. Raises
    UnknownNameError, DatasetError or DownloadError.
    """
    definition = definition_of(name)
    is_users = definition.name in _from_user_files
    with user_file.named_errors(name) if is_users else nullcontext():
        root = definition.source.open(
            places or folders(data_dir), offline=offline, progress=progress
        )
        benchmark = definition.build(definition, root, options or DataOptions())
        made = benchmark.name, benchmark.feature_set
        if is_users and made != (definition.name, definition.feature_set):
            raise DatasetError(
                f"`build` must return a Benchmark of its definition's name {definition.name!r} and"
                f" feature files {definition.feature_set!r}; it returned {benchmark.name!r} and"
                f" {benchmark.feature_set!r}."
            )
    return few_shots(benchmark, options or DataOptions())
