"""Variants of a measurement along chosen axes, for ablations: every combination of their values."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vggfeat.backbones.load import check_net
from vggfeat.backbones.spec import with_option
from vggfeat.benchmarks.options import Settings
from vggfeat.errors import NetworkError, OptionError, UnknownNameError

log = logging.getLogger(__name__)

AXES = {
    "scales": "single scales, pairs, and all of them",
    "aggregate": "average or stack",
    "scale_l2": "each scale normalised before they are combined, or not",
    "mirror": "averaged with mirrored pictures, or not",
    "relu": "the last hidden layer after its ReLU, or before",
}


def check_axes(axes: Sequence[str]) -> None:
    """Raise UnknownNameError or OptionError unless these are axes, each named once."""
    for axis in axes:
        if axis not in AXES:
            raise UnknownNameError("axis of a sweep", axis, AXES)
    if len(set(axes)) < len(axes):
        raise OptionError(f"an axis is given twice in {','.join(axes)}.")


def nets_of(nets: Sequence[str], axes: Sequence[str]) -> list[str]:
    """The net specifications a sweep measures: of nets without that option as they are only."""
    before = []
    for net in nets if "relu" in axes else ():
        check_net(net)
        without = with_option(net, "relu", "false")
        try:
            check_net(without)
        except NetworkError as error:
            log.info("%s: not varied in relu: %s", net, error)
        else:
            before.append(without)
    return list(dict.fromkeys([*nets, *before]))


def settings_of(settings: Settings, axes: Sequence[str]) -> Iterator[Settings]:
    """Every variant of the settings; the first has all scales, so its descriptors serve the rest.

    How scales are combined is not varied where there is one scale only.
    """
    options = settings.extraction
    mirrors = _both(options.mirror) if "mirror" in axes else [options.mirror]
    subsets = _subsets(options.scales) if "scales" in axes else [options.scales]
    for mirror, scales in itertools.product(mirrors, subsets):
        extraction = replace(options, mirror=mirror, scales=scales)
        aggregates, normalised = [settings.aggregate], [settings.scale_l2]
        if len(scales) > 1 and "aggregate" in axes:
            other = {"stack": "average", "average": "stack"}[settings.aggregate]
            aggregates.append(other)
        if len(scales) > 1 and "scale_l2" in axes:
            normalised = _both(settings.scale_l2)
        for aggregate, scale_l2 in itertools.product(aggregates, normalised):
            yield replace(settings, extraction=extraction, aggregate=aggregate, scale_l2=scale_l2)


def _both(first: bool) -> list[bool]:
    return [first, not first]


def _subsets(scales: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All scales together, then pairs, then single ones."""
    sizes = [size for size in (2, 1) if size < len(scales)]
    return [scales, *itertools.chain(*(itertools.combinations(scales, size) for size in sizes))]
