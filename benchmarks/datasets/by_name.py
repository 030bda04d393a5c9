"""Datasets of torchvision and the Hugging Face hub by their names there, measured as own pictures.

`torchvision:CLASS:KEY=VALUE,KEY=VALUE`: a class of torchvision.datasets with its arguments.
`hf:OWNER/NAME:KEY=VALUE,KEY=VALUE`: a repository of the hub; the keys are HUB_KEYS.
"""

import re
from collections.abc import Callable, Mapping

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, DataSource
from vggfeat.benchmarks.datasets.own_pictures import SCALES, name_for
from vggfeat.benchmarks.protocols.hub_pictures import PARTS, HubPictures
from vggfeat.benchmarks.protocols.own_protocol import own_benchmark
from vggfeat.benchmarks.protocols.torchvision_pictures import TorchvisionPictures
from vggfeat.benchmarks.sources.hub_dataset import HubDataset
from vggfeat.benchmarks.sources.loader_root import LoaderRoot
from vggfeat.benchmarks.sources.torchvision_class import SETS, TorchvisionClass
from vggfeat.errors import DatasetError

HUB_KEYS = ("name", "revision", "data_dir", "image_column", "label_column", "split", *PARTS)
Arguments = tuple[tuple[str, str], ...]
Datasets = Mapping[str, DatasetDefinition | None]
# Classes of torchvision whose pictures have a file of their own here.
OWN_FILES = {
    "Flowers102": "flowers102", "DTD": "dtd", "OxfordIIITPet": "oxford_pet", "Food101": "food101",
    "SUN397": "sun397", "StanfordCars": "stanford_cars", "FGVCAircraft": "fgvc_aircraft",
    "CIFAR10": "cifar10", "CIFAR100": "cifar100", "STL10": "stl10", "SVHN": "svhn",
    "EuroSAT": "eurosat", "Country211": "country211", "GTSRB": "gtsrb", "PCAM": "pcam",
    "ImageNet": "imagenet", "Caltech101": "caltech101", "Caltech256": "caltech256",
}  # fmt: skip


def is_by_name(text: str) -> bool:
    """Whether a text names a dataset of one of these places; `./torchvision:X` leads to a file."""
    return text.partition(":")[0] in SCHEMES and ":" in text


def dataset_named(text: str, ours: Datasets) -> DatasetDefinition:
    """The dataset that `SCHEME:NAME:KEY=VALUE,...` names; ours are those here, by their names.

    Raises DatasetError or UnknownNameError.
    """
    scheme, _, rest = text.partition(":")
    name, _, given = rest.partition(":")
    arguments: dict[str, str] = {}
    for pair in filter(None, re.split("[,:]", given)):
        key, is_given, value = pair.partition("=")
        if not is_given or not key or not value or key in arguments:
            why = "is there twice" if key in arguments else "is not KEY=VALUE"
            raise DatasetError(f"{text}: {pair!r} {why}. Write {scheme}:NAME:KEY=VALUE,KEY=VALUE.")
        arguments[key] = value
    if not name:
        raise DatasetError(f"{text}: names no dataset. Write {scheme}:NAME:KEY=VALUE,KEY=VALUE.")
    return SCHEMES[scheme](name, tuple(sorted(arguments.items())), ours)


def _of_torchvision(name: str, arguments: Arguments, ours: Datasets) -> DatasetDefinition:
    words = ["torchvision", name, *(word for pair in arguments for word in pair)]
    called = name_for("_".join(words), ours)
    dataset = TorchvisionClass(name, called, arguments)
    _ = dataset.sets  # whatever is mistyped is said before anything is fetched
    source: DataSource = dataset
    remarks: tuple[str, ...] = ()
    if own := ours.get(OWN_FILES.get(name, "")):
        remarks = (f"`vggfeat bench {own.name}` measures these by the protocol of the field",)
        # The same files, found in more layouts, and fetched by ours; other sets may be more files.
        if isinstance(own.source, LoaderRoot) and not {*SETS, "split"} & dict(arguments).keys():
            source = own.source
    return DatasetDefinition(
        name=called,
        title=dataset.name,
        source=source,
        build=own_benchmark,
        protocol=TorchvisionPictures(dataset, remarks),
        scales=SCALES,
        num_pictures=own.num_pictures if own else 0,
    )


def _of_hub(name: str, arguments: Arguments, ours: Datasets) -> DatasetDefinition:
    given = dict(arguments)
    title = ":".join(filter(None, ["hf", name, ",".join(f"{k}={v}" for k, v in arguments)]))
    if unknown := given.keys() - set(HUB_KEYS):
        raise DatasetError(f"{title}: no key {min(unknown)!r}; allowed: {', '.join(HUB_KEYS)}.")
    splits = [(part, given[key]) for key, part in PARTS.items() if key in given]
    if "split" in given:
        splits.append(("all", given["split"]))
    if len(dict(splits)) < len(splits) or ("split" in given and len(splits) > 1):
        raise DatasetError(
            f"{title}: split= is for a single one, without train=, validation=, test=."
        )
    source = HubDataset(name, *(given.get(key, "") for key in ("name", "revision", "data_dir")))
    called = name_for("_".join(["hf", name, *(word for pair in arguments for word in pair)]), ours)
    return DatasetDefinition(
        name=called,
        title=title,
        source=source,
        build=own_benchmark,
        protocol=HubPictures(
            source,
            title,
            called,
            given.get("image_column", ""),
            given.get("label_column", ""),
            tuple(splits),
        ),
        scales=SCALES,
    )


SCHEMES: dict[str, Callable[[str, Arguments, Datasets], DatasetDefinition]] = {
    "torchvision": _of_torchvision,
    "hf": _of_hub,
}
