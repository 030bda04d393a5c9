"""The feature files that an extraction has to complete, and what goes into them: `incomplete`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from vggfeat import images
from vggfeat.backbones.network import Network
from vggfeat.errors import OptionError
from vggfeat.features import part_files, store
from vggfeat.features.batch_pixels import measured_batch_pixels
from vggfeat.features.changed import changed_since, forget_changed
from vggfeat.features.conditions import check_scales, conditions
from vggfeat.features.heads.descriptor import Descriptor
from vggfeat.features.heads.head import Head
from vggfeat.features.options import Extraction
from vggfeat.provenance import library_versions


@dataclass(frozen=True, kw_only=True, eq=False)
class Incomplete:
    """An extraction that has something to do: one pass, and the files that its vectors go into."""

    network: Network
    pictures: Mapping[str, images.Picture]
    options: Extraction
    head: Callable[[Network], Head]
    folder: Path | None  # whose other files may have some of the scales
    file_bytes: Mapping[str, int]  # of each picture's file
    changeable: Mapping[str, images.Picture]  # those that may hold something else than before
    files: Mapping[Path, tuple[Network, store.Conditions]]  # network's own first

    @property
    def sharing(self) -> list[Network]:
        """The other networks whose vectors come from the same pass."""
        return [net for net, _ in self.files.values() if net is not self.network]

    def joint_head(self) -> Head:
        """The head that gives the vectors of all files, one after the other."""
        sharing = self.sharing
        return Descriptor(self.network, sharing) if sharing else self.head(self.network)

    def batch_pixels(self, joint: Head, module: nn.Module) -> int | None:
        """Pixels a batch, by which what is there of the first file was cut; else measured."""
        first = next(iter(self.files))
        begun = first if first.exists() else next(iter(part_files.paths(first)), first)
        return measured_batch_pixels(joint, module, self.options, self.pictures, begun)

    def other_scales(self) -> dict[Path, store.OtherScales]:
        """What other files of the folder have for each of the files; without a folder nothing."""
        others_of = {}
        for path, (network, wanted) in self.files.items():
            stem = f"{wanted.dataset}-{network.slug}"
            others = store.OtherScales(self.folder, stem, wanted, self.file_bytes, path=path)
            for other in others.paths:
                others.leave_out(other, changed_since(other, self.changeable))
            others_of[path] = others
        return others_of

    @contextmanager
    def writers(
        self, others: Mapping[Path, store.OtherScales], batch_pixels: int | None
    ) -> Iterator[list[store.FeatureWriter]]:
        """A `with` block with the writer of each feature file, in the order of the files.

        The files with other scales are open in it, too.
        """
        with ExitStack() as opened:
            writers = {}
            for path in sorted(self.files):  # in an order that two processes have in common
                network, wanted = self.files[path]
                writers[path] = opened.enter_context(
                    store.FeatureWriter(
                        path,
                        wanted,
                        dim=self.head(network).dim,
                        file_bytes=self.file_bytes,
                        weights_name=network.weights,
                        versions=library_versions(),
                        other_versions=[*others[path].versions, *part_files.versions(path)],
                        batch_pixels=batch_pixels,
                    )
                )
                opened.enter_context(others[path])
            yield [writers[path] for path in self.files]


def incomplete(
    dataset: str,
    pictures: Mapping[str, images.Picture | str],
    network: Network,
    options: Extraction,
    *,
    folder: Path | str | None = None,
    to: Path | str | None = None,
    head: Callable[[Network], Head] = Descriptor,
    shared_with: Sequence[Network] = (),
    may_change: bool = False,
) -> tuple[Path, Incomplete | None]:
    """The feature file of an extraction, and what it lacks if that is anything.

    The arguments are those of `extract`, whose errors are raised.
    """
    assert not shared_with or head is Descriptor, "only descriptors share a forward pass"
    if (folder is None) == (to is None):
        raise OptionError("extract takes folder=, for a file that it names, or to=, a file.")
    pictures = {i: Path(p) if isinstance(p, str) else p for i, p in pictures.items()}
    file_bytes = {i: images.picture_bytes(picture) for i, picture in pictures.items()}
    changeable = pictures if may_change else {}
    files: dict[Path, tuple[Network, store.Conditions]] = {}
    for net in (network, *shared_with):
        check_scales(net, options)
        wanted = conditions(dataset, net, options, head)
        stem = f"{dataset}-{net.slug}"
        path, complete = _found(folder, stem, to, wanted, file_bytes, changeable)
        if not complete:
            files[path] = net, wanted
        elif net is network:
            return path, None
    return next(iter(files)), Incomplete(
        network=network,
        pictures=pictures,
        options=options,
        head=head,
        folder=None if folder is None else Path(folder),
        file_bytes=file_bytes,
        changeable=changeable,
        files=files,
    )


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
