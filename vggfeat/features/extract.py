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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vggfeat import images
from vggfeat.backbones.load import NetName, load_network
from vggfeat.backbones.network import Network
from vggfeat.features import part_files, store
from vggfeat.features.batches import BATCH_PIXELS
from vggfeat.features.conditions import conditions
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import Head
from vggfeat.features.incomplete import incomplete
from vggfeat.features.merging import ids_in, merge
from vggfeat.features.options import Extraction
from vggfeat.features.stored_scales import PartialExtraction
from vggfeat.progress import Progress, no_progress

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
    no_others = store.OtherScales(None, "", wanted, {}, path=path)
    in_parts = ids_in(part_files.paths(path), no_others, file_bytes, {})
    return path, store.lacking(path, file_bytes) - in_parts


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
    done stays done whatever happens; scales that other files in `folder` have are taken from there,
    and so is what several processes left in parts of the file.
    `shared_with` are networks that share a forward pass with this one: what they lack is extracted
    in the same pass, into files of their own. may_change=True is for a user's pictures: those
    written since are extracted again if they hold something else.
    Raises PictureError at a picture that cannot be read unless options.on_error is "skip",
    OptionError at a scale too small for the net, StoreError at damage and at other conditions.
    """
    started = time.monotonic()
    network = load_network(network)
    path, lack = incomplete(
        dataset, pictures, network, options, folder=folder, to=to, head=head,
        shared_with=shared_with, may_change=may_change,
    )  # fmt: skip
    if lack is None:
        part_files.clear(path)
        return Extracted(path)
    joint = lack.joint_head()
    module = joint.module  # weights that do not fit are noticed before a file is made
    batch_pixels = lack.batch_pixels(joint, module)
    joint.batch_pixels = batch_pixels or BATCH_PIXELS
    others = lack.other_scales()
    run = PartialExtraction(joint, options, progress)
    with lack.writers(others, batch_pixels) as writers:
        merged: set[str] = set()
        for writer, of_file in zip(writers, others.values(), strict=True):
            merged |= merge(writer, of_file, lack.file_bytes, lack.changeable)
        if any(writer.missing(lack.pictures) for writer in writers):
            run.extract(module, lack.pictures, writers, list(others.values()))
    num_new = run.num_new + len(merged)
    _log_extracted(network, f"{num_new} new {joint.plural} in {path}", lack.sharing)
    seconds, stages = time.monotonic() - started, run.stage_seconds if run.num_new else {}
    of_scales = {} if merged else run.scale_seconds
    return Extracted(path, num_new, seconds, run.skipped, of_scales, stages)


def _log_extracted(network: Network, text: str, sharing: Sequence[Network]) -> None:
    log.debug("%s: %s", network.label, text)
    if sharing:
        layers = ", ".join(net.backbone.layer for net in sharing)
        log.debug("%s: in the same pass: %s", network.label, layers)
