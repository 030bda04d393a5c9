"""Pictures -> descriptors of a frozen net, per picture and scale, in a feature file.

For a picture and a scale Q: rescale the shortest side to Q, run the dense net over the whole
picture, average the descriptor map over its positions, average with the mirrored picture (paper,
appendix B). What is stored is not normalised: aggregation over scales and L2 come later. A net that
takes pictures of one size only sees crops, whose descriptors are averaged; see `spec.VIEWS`.

Other vectors of a picture and a scale are extracted in the same way, see `heads`. This module
decides what is missing and where it goes; `pipeline` computes it.
"""

import html
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vggfeat import images
from vggfeat.backbones.load import NetName, load_network
from vggfeat.backbones.network import Network
from vggfeat.errors import OptionError
from vggfeat.features import store
from vggfeat.features.batch_pixels import measured_batch_pixels
from vggfeat.features.batches import BATCH_PIXELS
from vggfeat.features.changed import changed_since, forget_changed
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import Head
from vggfeat.features.options import Extraction
from vggfeat.features.stored_scales import PartialExtraction
from vggfeat.features.views import is_square, sees_crops
from vggfeat.progress import Progress, no_progress
from vggfeat.provenance import library_versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extracted:
    """The result of an extraction: the feature file, what was new, what could not be read."""

    path: Path
    num_new: int = 0
    seconds: float = 0.0
    skipped: Mapping[str, str] = field(default_factory=dict)  # id -> reason
    scale_seconds: Mapping[int, float] = field(default_factory=dict)  # scale -> of forward passes
    # "decode" and "prepare" summed over threads, "forward" of the thread that waits for the device,
    # "store" of the one that stores meanwhile; empty if nothing was new.
    stage_seconds: Mapping[str, float] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        facts = {"feature file": self.path, "new": self.num_new, "seconds": f"{self.seconds:.1f}"}
        facts |= {f"skipped: {name}": reason for name, reason in self.skipped.items()}
        rows = (
            f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>'
            for name, value in facts.items()
        )
        return f"<table>{''.join(rows)}</table>"


def conditions(
    dataset: str,
    network: Network,
    options: Extraction,
    head: Callable[[Network], Head] = Descriptor,
) -> store.Conditions:
    """The conditions that decide the vectors of this dataset, net, options and head."""
    return store.Conditions(
        dataset=dataset,
        network=network.name,
        weights=network.weights_identity,
        layer=head(network).layer,
        scales=options.scales,
        mirror=options.mirror,
        mean=network.statistics.mean,
        std=network.statistics.std,
        decoder=store.SCALED_DECODER if options.scaled_jpeg else store.DECODER,
        exif=options.exif,
        resize_filter=images.RESIZE_FILTER,
        precision=options.resolved_precision,
        dtype=options.dtype,
    )


def check_scales(network: Network, options: Extraction) -> None:
    """Raise OptionError if the net's descriptors cannot be computed at one of the scales."""
    backbone, smallest = network.backbone, min(options.scales)
    needed = max(backbone.min_size, backbone.input_size if sees_crops(network) else 0)
    if smallest < needed:
        raise OptionError(
            f"scale {smallest} is too small for {network.name}: it needs at least {needed}. Give"
            f" --scales {needed} or larger (in Python scales=)."
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
    wanted = conditions(dataset, network, options)
    path, _ = store.find(folder, f"{dataset}-{network.slug}", wanted, file_bytes)
    return path, store.lacking(path, file_bytes)


def extract(
    dataset: str,
    pictures: Mapping[str, images.Picture | str],
    network: NetName,
    options: Extraction,
    *,
    folder: Path | str | None = None,
    to: Path | str | None = None,
    progress: Progress = no_progress,
    head: Callable[[Network], Head] = Descriptor,
    shared_with: Sequence[Network] = (),
    may_change: bool = False,
) -> Extracted:
    """Make sure that every picture (id -> file or crop) has its vectors in a feature file.

    network is a loaded one, or what `load_network` takes.
    The file lies in `folder` under a name that follows from its conditions, or it is `to`, which
    must be of the same conditions if it is there. Only what is missing is extracted, and what is
    done stays done whatever happens; scales that other files in `folder` have are taken from there.
    `shared_with` are networks that share a forward pass with this one: what they lack is extracted
    in the same pass, into files of their own. may_change=True is for a user's pictures: those
    written since are extracted again if they hold something else.
    Raises PictureError at a picture that cannot be read unless options.on_error is "skip",
    OptionError at a scale too small for the net, StoreError at damage and at other conditions.
    """
    assert not shared_with or head is Descriptor, "only descriptors share a forward pass"
    if (folder is None) == (to is None):
        raise OptionError("extract takes folder=, for a file that it names, or to=, a file.")
    started = time.monotonic()
    network = load_network(network)
    pictures = {i: Path(p) if isinstance(p, str) else p for i, p in pictures.items()}
    file_bytes = {i: images.picture_bytes(picture) for i, picture in pictures.items()}
    changeable = pictures if may_change else {}
    incomplete: dict[Path, tuple[Network, store.Conditions]] = {}
    for net in (network, *shared_with):
        check_scales(net, options)
        wanted = conditions(dataset, net, options, head)
        stem = f"{dataset}-{net.slug}"
        path, complete = _found(folder, stem, to, wanted, file_bytes, changeable)
        if not complete:
            incomplete[path] = net, wanted
        elif net is network:
            return Extracted(path)
    sharing = [net for net, _ in incomplete.values() if net is not network]
    joint = Descriptor(network, sharing) if sharing else head(network)
    module = joint.module  # weights that do not fit are noticed before a file is made
    first = next(iter(incomplete))
    batch_pixels = measured_batch_pixels(joint, module, options, pictures, first)
    joint.batch_pixels = batch_pixels or BATCH_PIXELS
    others = _other_scales(folder, incomplete, file_bytes, changeable)
    run = PartialExtraction(joint, options, progress)
    with _writers(incomplete, head, file_bytes, others, batch_pixels) as writers:
        run.extract(module, pictures, writers, list(others.values()))
    _log_extracted(network, f"{run.num_new} new {joint.plural} in {first}", sharing)
    seconds, stages = time.monotonic() - started, run.stage_seconds if run.num_new else {}
    return Extracted(first, run.num_new, seconds, run.skipped, run.scale_seconds, stages)


def _found(
    folder: Path | str | None,
    stem: str,
    to: Path | str | None,
    wanted: store.Conditions,
    file_bytes: Mapping[str, int],
    changeable: Mapping[str, images.Picture],
) -> tuple[Path, bool]:
    """The feature file for these conditions, in the folder or at `to`; whether it is complete.

    It lacks those of the changeable pictures that hold something else now.
    """
    while True:
        if to is None:
            path, complete = store.find(Path(folder), stem, wanted, file_bytes)
        else:
            path, complete = Path(to), store.is_complete(Path(to), wanted, file_bytes)
        if not (changeable and forget_changed(path, changeable)):
            return path, complete


def _other_scales(
    folder: Path | str | None,
    incomplete: Mapping[Path, tuple[Network, store.Conditions]],
    file_bytes: Mapping[str, int],
    changeable: Mapping[str, images.Picture],
) -> dict[Path, store.OtherScales]:
    """What other files of the folder have for each of those to be completed; without one nothing.

    changeable are pictures that may hold something else than when those files were made.
    """
    others_of = {}
    for path, (network, wanted) in incomplete.items():
        stem = f"{wanted.dataset}-{network.slug}"
        place = None if folder is None else Path(folder)
        others = store.OtherScales(place, stem, wanted, file_bytes, path=path)
        for other in others.paths:
            others.leave_out(other, changed_since(other, changeable))
        others_of[path] = others
    return others_of


def _log_extracted(network: Network, text: str, sharing: Sequence[Network]) -> None:
    log.debug("%s: %s", network.label, text)
    if sharing:
        layers = ", ".join(net.backbone.layer for net in sharing)
        log.debug("%s: in the same pass: %s", network.label, layers)


@contextmanager
def _writers(
    incomplete: Mapping[Path, tuple[Network, store.Conditions]],
    head: Callable[[Network], Head],
    file_bytes: Mapping[str, int],
    others: Mapping[Path, store.OtherScales],
    batch_pixels: int | None,
) -> Iterator[list[store.FeatureWriter]]:
    """A `with` block with the writer of each feature file, in the order of the files.

    The files with other scales are open in it, too.
    """
    with ExitStack() as opened:
        writers = {}
        for path in sorted(incomplete):  # in an order that two processes have in common
            network, wanted = incomplete[path]
            writers[path] = opened.enter_context(
                store.FeatureWriter(
                    path,
                    wanted,
                    dim=head(network).dim,
                    file_bytes=file_bytes,
                    weights_name=network.weights,
                    versions=library_versions(),
                    other_versions=others[path].versions,
                    batch_pixels=batch_pixels,
                )
            )
            opened.enter_context(others[path])
        yield [writers[path] for path in incomplete]
