"""Saved probes used on pictures: which class is a picture of?

    probe = load_probe("results/caltech101/squeezenet1_0-0123456789abcdef.probe.safetensors")
    probe.predict(["a.jpg", "b.jpg"]).to_frame()

Pictures become vectors exactly as when the probe was fitted, by the same net: any other net, other
weights or another layer is refused by its digest.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import NetSpec, parse_fusion
from vggfeat.errors import DownloadError, PictureError, ProbeError, WeightsError, in_one_line
from vggfeat.features import store
from vggfeat.features.aggregate import aggregate, fuse
from vggfeat.features.conditions import conditions
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.layouts.unlabelled import read_pictures
from vggfeat.plurals import counted
from vggfeat.probes import probe_file
from vggfeat.probes.probe import Classifier
from vggfeat.probes.probe_file import MULTI, ProbeCard, ProbeNet
from vggfeat.progress import Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Probes whose scores above 0 say that a class is there: they set positives against negatives.
OF_SIGNS = ("svm", "logistic", "ridge", "centroid")
PROGRAMS = (".pt", ".pth", ".pt2")  # files that may be nets as programs
DATASET = "pictures"  # in the feature files that are there while it is predicted


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The score of every class for each picture: the higher, the likelier; no probability.

    pictures [n] are as they were named, classes [K], scores [n, K] float32; skipped has the
    pictures that could not be read, and why.
    """

    pictures: tuple[str, ...]
    classes: tuple[str, ...]
    scores: np.ndarray
    skipped: Mapping[str, str] = field(default_factory=dict)
    is_multi_label: bool = False
    has_threshold: bool = False  # whether a score above 0 says that a class is there

    @property
    def best(self) -> list[str]:
        """The class of the highest score of each picture, the first of equals."""
        return [self.classes[k] for k in self.scores.argmax(axis=1)]

    @property
    def present(self) -> list[list[str]]:
        """The classes of each picture whose score is above 0, the highest first."""
        return [
            [self.classes[k] for k in np.argsort(-row, kind="stable") if row[k] > 0]
            for row in self.scores
        ]

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()

    def to_frame(self) -> pd.DataFrame:
        """A row a picture, a column a class: its scores."""
        import pandas as pd  # takes as long to import as all else of this library

        index = pd.Index(self.pictures, name="picture")
        return pd.DataFrame(self.scores, index=index, columns=list(self.classes))


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedProbe:
    """A fitted probe with the net or nets whose features it takes; `load_probe` makes it."""

    card: ProbeCard
    classifier: Classifier
    networks: Sequence[Network]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the K classes."""
        return self.card.classes

    def predict(
        self,
        pictures: Sequence[Path | str],
        *,
        on_error: str = "stop",
        device: str = "auto",
        precision: str | None = None,
        batch_size: int | None = None,
        progress: Progress = no_progress,
    ) -> Predictions:
        """The scores of pictures, each a file.

        precision is the one that the probe was fitted in, unless another is given; its scores
        differ a little then. Raises PictureError at a picture that cannot be read unless on_error
        is "skip", and OptionError.
        """
        if isinstance(pictures, str | Path):
            raise PictureError(f"{pictures}: one name, where a list of pictures is taken.")
        fitted = self.card.extraction
        chosen = {"device": device, "on_error": on_error, "batch_size": batch_size}
        options = Extraction(**fitted | chosen | ({"precision": precision} if precision else {}))
        if options.resolved_precision != fitted["precision"]:
            log.warning(
                "computed in %s; the probe was fitted to features in %s, so scores differ a little",
                options.resolved_precision, fitted["precision"],
            )  # fmt: skip
        # Numbers as ids, as names may be of any kind and come twice.
        files = {str(number): Path(picture) for number, picture in enumerate(pictures)}
        names = dict(zip(files, map(str, pictures), strict=True))
        vectors, ids, skipped = self._vectors(files, options, progress)
        scores = np.zeros((0, len(self.classes)), dtype=np.float32)
        if ids:
            scores = self.classifier.decisions(vectors).astype(np.float32)
        return Predictions(
            pictures=tuple(names[i] for i in ids),
            classes=self.classes,
            scores=scores,
            skipped={names[i]: reason for i, reason in skipped.items()},
            is_multi_label=self.card.task == MULTI,
            has_threshold=self.card.task == MULTI and self.card.probe in OF_SIGNS,
        )

    def _vectors(
        self, files: Mapping[str, Path], options: Extraction, progress: Progress
    ) -> tuple[np.ndarray, list[str], dict[str, str]]:
        """Vectors [n, D] of the pictures that can be read, their ids, and why others cannot."""
        if not files:
            return np.zeros((0, self.card.dim), np.float32), [], {}
        requests = [
            FeatureRequest(dataset=DATASET, pictures=files, network=network, options=options)
            for network in self.networks
        ]
        with tempfile.TemporaryDirectory(prefix="vggfeat-predict-") as folder:
            features = FeatureSets(Path(folder), progress)
            features.gather(requests)
            extracted = [features.extract(request) for request in requests]
            skipped = {i: reason for file in extracted for i, reason in file.skipped.items()}
            ids = [i for i in files if i not in skipped]
            if not ids:
                return np.zeros((0, self.card.dim), np.float32), [], skipped
            parts = [
                aggregate(store.read(file.path, ids, options.scales), self.card.vectors)
                for file in extracted
            ]
        return fuse(parts), ids, skipped


def load_probe(
    path: Path | str,
    *,
    net: str | None = None,
    weights_dir: Path | str | None = None,
    offline: bool = False,
) -> SavedProbe:
    """The probe that `vggfeat bench --save-probe` wrote, with its net.

    The net is looked for where its card says; net, as `--net` takes it, says where its weights lie
    now. Raises ProbeError if the file is damaged or of another kind, or the net is another, and
    what `load_network` raises.
    """
    path = Path(path)
    card, classifier = probe_file.read(path)
    specs = parse_fusion(net) if net else [_spec_of(stated, path) for stated in card.nets]
    if len(specs) != len(card.nets):
        number = counted(len(card.nets), "net")
        raise ProbeError(f"{path}: takes {number}, {_nets_text(card)}; got {net}.")
    networks = []
    for spec, stated in zip(specs, card.nets, strict=True):
        try:
            network = load_network(spec, weights_dir=weights_dir, offline=offline)
        except (WeightsError, DownloadError) as error:
            if net:
                raise
            raise ProbeError(
                f"{path}: its net cannot be loaded: {in_one_line(error)} Say where the weights lie"
                f" now: --net {stated.conditions.network}@FILE (in Python net=)."
            ) from error
        _check_net(path, card, stated, network)
        networks.append(network)
    return SavedProbe(card=card, classifier=classifier, networks=networks)


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """The files among places and the pictures below the folders among them, each once, in order.

    Raises PictureError at a place that is not there, at a pipe or a device, DatasetError at a
    folder without pictures.
    """
    files: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            files |= dict.fromkeys(read_pictures(place).files.values())
            continue
        if not place.exists():
            raise PictureError(f"{place}: no such picture or folder.")
        if not place.is_file():
            raise PictureError(f"{place}: is no file. Save the picture in one.")
        files[place] = None
    return list(files)


def _spec_of(stated: ProbeNet, path: Path) -> NetSpec:
    """The net that a card names. Raises ProbeError if it is code, which no file may choose."""
    spec = NetSpec.parse(stated.net)
    if spec.is_factory or (spec.is_file and Path(spec.weights).suffix.lower() in PROGRAMS):
        raise ProbeError(
            f"{path}: its net {stated.net} is code, which is not run because a file names it."
            f" Name it yourself: --net {stated.net} (in Python net=)."
        )
    return spec


def _check_net(path: Path, card: ProbeCard, stated: ProbeNet, network: Network) -> None:
    """Raise ProbeError unless a net gives the descriptors that the probe was fitted to."""
    theirs = stated.conditions
    ours = conditions(theirs.dataset, network, Extraction(**card.extraction))
    different = [
        item.name for item in fields(ours) if getattr(ours, item.name) != getattr(theirs, item.name)
    ]
    if different:
        name = "weights" if "weights" in different else different[0]
        raise ProbeError(
            f"{path}: was fitted to features of {stated.net}; {network.label} is another net: its"
            f" {name} {_short(getattr(ours, name))}, the probe's {_short(getattr(theirs, name))}."
        )
    if network.backbone.dim != stated.dim:
        raise ProbeError(
            f"{path}: takes {stated.dim} features of {stated.net}, which has"
            f" {network.backbone.dim}."
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:24]}..."


def _nets_text(card: ProbeCard) -> str:
    return "+".join(net.net for net in card.nets)
