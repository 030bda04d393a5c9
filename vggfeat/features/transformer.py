"""Frozen features as a scikit-learn transformer: `VGGFeatures`, pictures in, vectors out.

    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(VGGFeatures("vgg16", scales=(256, 384)), OneVsRestSVM())
    classifier.fit(paths, labels).predict(["new.jpg"])

Shapes: n pictures, S scales, D channels of the net's layer, H W sides of a picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from os.path import expanduser
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags

from vggfeat import images
from vggfeat.backbones.load import NetName, load_network
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import PictureError
from vggfeat.features import store
from vggfeat.features.aggregate import aggregate
from vggfeat.features.conditions import check_scales
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction, VectorOptions
from vggfeat.progress import Progress, no_progress

DATASET = "pictures"  # in the names of feature files
PictureLike = str | Path | np.ndarray | Image.Image
# Threads of a program take turns: while torch.fx traces a net, calls of all nets are its own.
_ALONE = RLock()


class VGGFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A frozen net's features of pictures: dense, averaged over scales, of length one.

    X is a sequence of n pictures: paths, arrays [H, W, 3] of uint8 (0 to 255, RGB) or Pillow
    images, also mixed. They become vectors as `extract` makes descriptors (paper, sect. 5 and
    appendix B), whose scales are combined and normalised as for a probe. Nothing is learned from
    pictures: `fit` only loads the net.

    net is what `load_network` takes; scales are shortest sides in pixels, one or several, the
    paper's by default. aggregate is "average" (D features) or "stack" (S * D), scale_l2 normalises
    each scale before. mirror averages with mirrored pictures; exif turns pictures as their EXIF
    orientation says. device is what --device takes, such as "auto", "cpu" or "cuda:1", precision
    "auto", "fp32" or "bf16"; batch_size, pictures a batch, is chosen if it is None. cache_dir keeps
    the descriptors of pictures in a feature file, by their content, so that none is computed twice,
    also by copies of the transformer in a grid search; without it every call computes anew.
    weights_dir and offline are those of `load_network`. progress is called with (label, pictures
    done, pictures in all).

    A pickle holds no weights: a worker process of a grid search loads the net itself, where it is
    named by text or a NetSpec.

    After fit: n_features_out_, the number of features. Raises VggfeatError: OptionError at options
    that are not allowed, PictureError at what is no picture, and what `load_network` raises.
    """

    def __init__(
        self,
        net: NetName = "vgg16",
        *,
        scales: int | Sequence[int] = (256, 384, 512),
        aggregate: str = "average",
        scale_l2: bool = False,
        mirror: bool = True,
        exif: bool = False,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        cache_dir: str | Path | None = None,
        weights_dir: str | Path | None = None,
        offline: bool = False,
        progress: Progress | None = None,
    ):
        self.net = net
        self.scales = scales
        self.aggregate = aggregate
        self.scale_l2 = scale_l2
        self.mirror = mirror
        self.exif = exif
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.cache_dir = cache_dir
        self.weights_dir = weights_dir
        self.offline = offline
        self.progress = progress

    def fit(self, X: Iterable[PictureLike] | None = None, y: object = None) -> VGGFeatures:
        """Load the net, which looks at no picture; returns self. Raises VggfeatError."""
        check_scales(self._network(), self._extraction)
        self.n_features_out_ = self._n_features_out
        return self

    def transform(self, X: Iterable[PictureLike]) -> np.ndarray:
        """The features of pictures: [n, D] float32, with aggregate="stack" [n, S * D].

        Rows have length one. Raises PictureError at a picture that cannot be read.
        """
        pictures = _pictures(X)
        options, network, vectors = self._extraction, self._network(), self._vectors
        if not pictures:
            return np.zeros((0, self._n_features_out), np.float32)
        kept = self.cache_dir is not None
        ids = [_digest(picture) if kept else str(n) for n, picture in enumerate(pictures)]
        folder = nullcontext(self.cache_dir) if kept else TemporaryDirectory(prefix="vggfeat-")
        named, progress = dict(zip(ids, pictures, strict=True)), self.progress or no_progress
        with _ALONE, folder as place:
            try:
                file = extract(DATASET, named, network, options, folder=place, progress=progress)
            except PictureError as error:  # without the advice to skip it: X has as many rows as y
                cause = error.__cause__
                raise (cause if isinstance(cause, PictureError) else error) from None
            descriptors = store.read(file.path, ids, options.scales)
        return aggregate(descriptors, vectors)

    @property
    def _n_features_out(self) -> int:
        stacked = len(self._extraction.scales) if self._vectors.aggregate == "stack" else 1
        return self._network().backbone.dim * stacked

    @property
    def _extraction(self) -> Extraction:
        return Extraction(
            scales=self.scales,
            mirror=self.mirror,
            exif=self.exif,
            device=self.device,
            precision=self.precision,
            batch_size=self.batch_size,
        )

    @property
    def _vectors(self) -> VectorOptions:
        return VectorOptions(aggregate=self.aggregate, scale_l2=self.scale_l2)

    def _network(self) -> Network:
        if isinstance(self.net, Network):
            return self.net
        where = None if self.weights_dir is None else str(self.weights_dir)
        with _ALONE:
            return _loaded(str(self.net), where, self.offline, _stamp(str(self.net)))

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit, tags.no_validation = False, True
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.transformer_tags.preserves_dtype = []
        return tags


@lru_cache(maxsize=1)
def _loaded(
    net: str, weights_dir: str | None, offline: bool, stamp: tuple[int, int] | None
) -> Network:
    """The net that was used last, so that copies of a transformer share it."""
    return load_network(net, weights_dir=weights_dir, offline=offline)


def _stamp(net: str) -> tuple[int, int] | None:
    """What changes when the net's file is written anew; None without a file."""
    path = Path(expanduser(NetSpec.parse(net).weights or "."))
    if not path.is_file():
        return None
    state = path.stat()
    return state.st_mtime_ns, state.st_size


def _pictures(X: Iterable[PictureLike]) -> list[images.Picture]:
    """Paths and pictures in memory. Raises PictureError at anything else."""
    if isinstance(X, str | Path | Image.Image) or not isinstance(X, Iterable):
        raise PictureError(f"{_brief(X)}: a list of pictures is taken. Write [it] for one.")
    return [_picture(item, f"picture {number} of X") for number, item in enumerate(X)]


def _picture(item: PictureLike, name: str) -> images.Picture:
    if isinstance(item, str | Path):
        return Path(item)
    try:
        if isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3:
            if item.shape[2] == 3 and item.size:
                return images.InMemory(Image.fromarray(item), name)
        elif isinstance(item, Image.Image):
            item.load()
            return images.InMemory(item, name)
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        raise PictureError(f"{name}: cannot be read as a picture ({error}).") from error
    raise PictureError(
        f"{name}: a path, a Pillow image or an array [H, W, 3] of uint8 is taken; got"
        f" {_brief(item)}."
    )


def _brief(item: Any) -> str:
    if isinstance(item, np.ndarray):
        return f"an array {list(item.shape)} of {item.dtype}"
    return repr(item)[:60]


def _digest(picture: images.Picture) -> str:
    return hashlib.sha256(images.picture_content(picture)).hexdigest()
