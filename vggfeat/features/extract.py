"""Pictures -> descriptors of a frozen net, per picture and scale, in a feature file.

For a picture and a scale Q: rescale the shortest side to Q, run the dense net over the whole
picture, average the descriptor map over its positions, average with the mirrored picture (paper,
appendix B). What is stored is not normalised: aggregation over scales and L2 come later. A net that
takes pictures of one size only sees crops, whose descriptors are averaged; see `backbone.VIEWS`.

Other vectors that a net gives for a picture and a scale are extracted in the same way, see
`readings`. This module decides what is missing and where it goes; `pipeline` computes it.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vggfeat import images
from vggfeat.backbones.network import Network
from vggfeat.errors import OptionError
from vggfeat.features import store
from vggfeat.features.forward import autocast_for, kept_memory
from vggfeat.features.heads.descriptor import Descriptor, Head, describe, is_square, sees_crops
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import Progress, Run
from vggfeat.provenance import library_versions

log = logging.getLogger(__name__)

NUM_TIMINGS = 3  # the first of which warms up


@dataclass(frozen=True)
class Extracted:
    """Where the descriptors are, what was new, and which pictures could not be read."""

    path: Path
    num_new: int = 0
    seconds: float = 0.0
    skipped: Mapping[str, str] = field(default_factory=dict)  # id -> reason
    scale_seconds: Mapping[int, float] = field(default_factory=dict)  # scale -> of the net alone
    # "decode" and "prepare" summed over threads, "forward" and "store" of the thread that waits for
    # them; empty if nothing was new.
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


def conditions(
    dataset: str, network: Network, options: Extraction, head: type[Head] = Descriptor
) -> store.Conditions:
    """What decides the descriptors of this dataset, net and options."""
    return store.Conditions(
        dataset=dataset,
        network=network.name,
        weights=network.weights_identity,
        layer=head(network).layer,
        scales=options.scales,
        mirror=options.mirror,
        mean=network.statistics.mean,
        std=network.statistics.std,
        decoder="Pillow",
        exif=options.exif,
        resize_filter=images.RESIZE_FILTER,
        precision=options.resolved_precision,
        dtype=options.dtype,
    )


def check_scales(network: Network, options: Extraction) -> None:
    """Raise OptionError if a scale is not one for the net."""
    backbone, smallest = network.backbone, min(options.scales)
    needed = max(backbone.min_size, backbone.input_size if sees_crops(network) else 0)
    if smallest < needed:
        raise OptionError(
            f"scale {smallest} is too small for {network.name}: it needs at least {needed}."
        )
    if is_square(network) and not backbone.any_size and set(options.scales) != {needed}:
        raise OptionError(
            f"{network.name} takes squares of {needed} only: give --scales {needed}, or view=centre"
            " or view=corners for larger ones."
        )


def missing(
    dataset: str,
    pictures: Mapping[str, images.Picture],
    network: Network,
    options: Extraction,
    *,
    folder: Path,
) -> tuple[Path, set[str]]:
    """The feature file that `extract` would use, and the pictures it would have to extract."""
    file_bytes = {i: images.picture_bytes(picture) for i, picture in pictures.items()}
    asked = conditions(dataset, network, options)
    path, _ = store.find(folder, f"{dataset}-{network.slug}", asked, file_bytes)
    return path, store.lacking(path, file_bytes)


def seconds_per_megapixel(network: Network, options: Extraction) -> float:
    """How long the net takes over a million pixels here, by timing one picture a few times."""
    device, precision = options.resolved_device, options.resolved_precision
    kind = Descriptor(network)
    module = kind.module.to(device, memory_format=torch.channels_last)
    scale = min(options.scales)
    aspect = 1 if is_square(network) else images.ASSUMED_ASPECT
    picture = np.zeros((1, scale, round(scale * aspect), 3), dtype=np.uint8)
    times = []
    with kept_memory(), autocast_for(device, precision):
        for _ in range(NUM_TIMINGS):
            started = time.monotonic()
            describe(kind, module, picture, mirror=False, device=device, precision=precision).cpu()
            times.append(time.monotonic() - started)
    return min(times) / (picture.size / 3 / 1e6)


def extract(
    dataset: str,
    pictures: Mapping[str, images.Picture],
    network: Network,
    options: Extraction,
    *,
    folder: Path,
    progress: Progress = lambda label, done, total: None,
    head: type[Head] = Descriptor,
    shared_with: Sequence[Network] = (),
) -> Extracted:
    """Make sure that every picture (id -> file or crop) has its descriptors in a feature file.

    The file lies in `folder` under a name that follows from its conditions; only what is missing
    is extracted, and what is done stays done whatever happens. `beside` are networks that share a
    pass with this one: what they lack is extracted in the same pass, into files of their own.
    Raises PictureError at a picture that cannot be read unless options.on_error is "skip",
    OptionError if a scale is too small for the net, StoreError if the file is damaged.
    """
    assert not shared_with or head is Descriptor, "only descriptors are read together"
    started = time.monotonic()
    file_bytes = {i: images.picture_bytes(picture) for i, picture in pictures.items()}
    files = {}  # of the networks that lack something
    for one in (network, *shared_with):
        check_scales(one, options)
        asked = conditions(dataset, one, options, head)
        path, complete = store.find(folder, f"{dataset}-{one.slug}", asked, file_bytes)
        if not complete:
            files[path] = one, asked
        elif one is network:
            return Extracted(path)
    others = [one for one, _ in files.values() if one is not network]
    kind = Descriptor(network, others) if others else head(network)
    module = kind.module  # weights that do not fit are found before a file is made
    with ExitStack() as opened:
        writers = {}
        for path in sorted(files):  # in an order that two processes have in common
            one, asked = files[path]
            writers[path] = opened.enter_context(
                store.FeatureWriter(
                    path,
                    asked,
                    dim=one.backbone.dim if others else kind.dim,
                    file_bytes=file_bytes,
                    weights_name=one.weights,
                    versions=library_versions(),
                )
            )
        run = Run(kind, options, pictures, [writers[path] for path in files], progress)
        run.extract(module)
    path = next(iter(files))
    log.info("%s: %d new %ss in %s", network.label, run.num_new, kind.name, path)
    if others:
        layers = ", ".join(one.backbone.layer for one in others)
        log.info("%s: in the same pass: %s", network.label, layers)
    seconds = time.monotonic() - started
    return Extracted(
        path,
        run.num_new,
        seconds,
        run.skipped,
        dict(run.scale_seconds),
        dict(run.stage_seconds) if run.num_new else {},
    )
