"""What a shell completes: names of benchmarks, nets, weights and stages, and files.

The names stand here once more, as the registries take seconds to import; a test compares them.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

BENCHMARKS = (
    "voc2007", "voc2012", "caltech101", "caltech256", "voc2012_actions", "voc2012_actions_box",
    "flowers102", "dtd", "dtd_1", "oxford_pet", "food101", "sun397", "sun397_1",
    "stanford_cars", "fgvc_aircraft", "cub200", "cifar10", "cifar100", "stl10", "stl10_folds",
    "svhn", "eurosat", "country211", "gtsrb", "pcam", "imagenet", "imagenet_v2", "imagenet_r",
    "imagenet_a", "imagenet_sketch", "digits", "synthetic_scenes", "synthetic_actions",
)  # fmt: skip
DATASETS = (  # that can be fetched, or asked for
    "caltech101", "caltech256", "cifar10", "cifar100", "country211", "cub200", "dtd", "eurosat",
    "fgvc_aircraft", "flowers102", "food101", "gtsrb", "imagenet", "imagenet_a", "imagenet_r",
    "imagenet_sketch", "imagenet_v2", "oxford_pet", "pcam", "stanford_cars", "stl10", "sun397",
    "svhn", "voc2007", "voc2012",
)  # fmt: skip
SUITES = ("paper", "kornblith12", "vtab-natural", "all")
TRAINED = ("vgg11", "vgg11_lrn", "vgg13", "vgg16_1x1", "vgg16", "vgg19")  # by the paper
STAGES = tuple(f"{net}-{scale}" for net in TRAINED for scale in ("256", "384", "jitter"))
REGRESSORS = tuple(
    f"{stage}-{kind}{layers}"
    for stage in STAGES
    if not stage.endswith("jitter")
    for kind in ("pcr", "scr")
    for layers in ("", "-fc")
)
NETS = """
alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161
densenet169 densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l
efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75
mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf
regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf
regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d
resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s
swin_v2_t vgg11 vgg11_bn vgg11_lrn vgg13 vgg13_bn vgg16 vgg16_1x1 vgg16_bn vgg19 vgg19_bn
vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
""".split()
WEIGHTS = ("torchvision", "random:0")  # of any of them, behind @
OWN_WEIGHTS = {net: ("caffe", "matconvnet", "caffe-pth") for net in ("vgg16", "vgg19")}
SUFFIXES = (".safetensors", ".pth", ".pt", ".pt2", ".onnx", ".caffemodel", ".mat", ".bin")
MAX_FILES = 100

Completed = list[CompletionItem]


def complete_benchmarks(_: click.Context, __: click.Parameter, typed: str) -> Completed:
    """Benchmarks, and folders and lists of the user's."""
    return _or_file(typed, BENCHMARKS)


def complete_datasets(_: click.Context, __: click.Parameter, typed: str) -> Completed:
    """Datasets that can be fetched."""
    return _items(name for name in DATASETS if name.startswith(typed))


def complete_recipes(_: click.Context, __: click.Parameter, typed: str) -> Completed:
    """Nets and stages that can be trained."""
    return _items(name for name in (*TRAINED, *STAGES) if name.startswith(typed))


def complete_stages(_: click.Context, __: click.Parameter, typed: str) -> Completed:
    """Stages of training."""
    return _items(name for name in STAGES if name.startswith(typed))


def complete_regressors(_: click.Context, __: click.Parameter, typed: str) -> Completed:
    """Bounding-box regressors that can be trained."""
    return _items(name for name in REGRESSORS if name.startswith(typed))


def complete_nets(_: click.Context, __: click.Parameter, typed: str) -> Completed:
    """Nets by name or file; behind @ their weights, by name or file; the last of several with +."""
    before, plus, last = typed.rpartition("+")
    net, at, weights = last.partition("@")
    if not at:
        names = [f"{before}{plus}{name}" for name in NETS]
        return _or_file(typed, names) if not plus else _items(_starting(names, typed))
    known = (*OWN_WEIGHTS.get(net.partition(":")[0], ()), *WEIGHTS)
    found = [*_starting(known, weights), *_weights_files(weights)]
    return _items(f"{before}{plus}{net}@{name}" for name in found)


def _starting(names: Iterable[str], typed: str) -> Iterator[str]:
    return (name for name in names if name.startswith(typed))


def _items(names: Iterable[str]) -> Completed:
    return [CompletionItem(name) for name in names]


def _or_file(typed: str, names: Iterable[str]) -> Completed:
    """Names, or whatever file the shell finds. Files come first: in bash they begin a new list."""
    return [CompletionItem(typed, type="file"), *_items(_starting(names, typed))]


def _weights_files(typed: str) -> list[str]:
    """Files of weights that begin so, in the folder that is named and those in it."""
    folder = os.path.dirname(typed)
    place = Path(os.path.expanduser(folder or "."))
    found = []
    try:
        for path in (*place.glob("*"), *place.glob("*/*")):
            name = os.path.join(folder, path.relative_to(place))
            if name.startswith(typed) and name.endswith(SUFFIXES) and name.isprintable():
                found.append(name)
    except OSError:
        return []
    return sorted(found)[:MAX_FILES]
