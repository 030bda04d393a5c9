"""Variants of a measurement along chosen axes, for ablations: every combination of their values."""

import itertools
import logging
from collections.abc import Iterator, Sequence

from vggfeat.backbones.check import check_net
from vggfeat.backbones.spec import Fusion, fusion_text
from vggfeat.benchmarks.options import Settings, measurement_options
from vggfeat.errors import NetworkError, OptionError, UnknownNameError

log = logging.getLogger(__name__)

AXES = {name: d.sweep_help for name, d in measurement_options().items() if d.sweep}
AXES["relu"] = "the last hidden layer after its ReLU, or before"  # an option of nets


def check_axes(axes: Sequence[str]) -> None:
    """Raise UnknownNameError or OptionError unless these are axes, each named once."""
    for axis in axes:
        if axis not in AXES:
            raise UnknownNameError("axis of a sweep", axis, AXES)
    if len(set(axes)) < len(axes):
        raise OptionError(f"an axis is given twice in {','.join(axes)}.")


def nets_of(nets: Sequence[Fusion], axes: Sequence[str]) -> list[Fusion]:
    """The nets that a sweep measures: with `relu`, each also before its last ReLU if it has one."""
    before = []
    for fusion in nets if "relu" in axes else ():
        for spec in fusion:
            check_net(spec)
        without_relu = tuple(spec.with_option("relu", False) for spec in fusion)
        try:
            for spec in without_relu:
                check_net(spec)
        except NetworkError as error:
            log.info("%s: not varied in relu: %s", fusion_text(fusion), error)
        else:
            before.append(without_relu)
    return list(dict.fromkeys([*nets, *before]))


def settings_of(settings: Settings, axes: Sequence[str]) -> Iterator[Settings]:
    """Every variant of the settings, these first.

    What combines scales is not varied where there is one scale only.
    """
    options, values = measurement_options(), settings.values()
    varied = [name for name in options if name in axes]
    tried = [options[name].sweep(values[name]) for name in varied]
    for combination in itertools.product(*tried):
        changes = dict(zip(varied, combination, strict=True))
        variant = settings.changed(changes)
        is_idle = any(
            options[name].combines_scales and value != values[name]
            for name, value in changes.items()
        )
        if not (is_idle and len(variant.extraction.scales) == 1):
            yield variant
