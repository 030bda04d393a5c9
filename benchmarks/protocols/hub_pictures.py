"""What a dataset of the Hugging Face hub has: its columns of pictures and labels, and its splits.

Pictures are the bytes of files in the Arrow tables, or files beside them; they are read when they
are needed and decoded like all others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggfeat.benchmarks.protocols.own_protocol import OwnProtocol
from vggfeat.benchmarks.sources.hub_dataset import HubDataset, is_in_cache, split_files
from vggfeat.dataset_rows import DatasetRow
from vggfeat.errors import DatasetError, VggfeatError, reason_of
from vggfeat.images import Picture
from vggfeat.layouts.own_pictures import PART_NAMES, LabelledPictures, alike, check_text

LABEL_NAMES = ("label", "labels", "fine_label", "class", "category", "target", "cls")
PARTS = {"train": "train", "validation": "val", "val": "val", "test": "test"}  # by the keys


@dataclass(frozen=True)
class HubPictures(OwnProtocol):
    """Which columns and splits of a dataset of the hub are meant; what is not given is found.

    `splits` are pairs of part and split; a part "all" is split at random. `called` is the
    benchmark, by which with the commit the feature files are known.
    """

    dataset: HubDataset
    title: str
    called: str
    image_column: str = ""
    label_column: str = ""
    splits: tuple[tuple[str, str], ...] = ()

    def read(self, root: Path) -> LabelledPictures:
        """The pictures of all chosen splits, sorted by id. Raises DatasetError."""
        try:
            return self._read(root)
        except (VggfeatError, MemoryError):
            raise
        except Exception as error:  # whatever pyarrow raises at a damaged file
            raise DatasetError(
                f"{self.place(root)}: cannot be read: {type(error).__name__}: {reason_of(error)}."
            ) from error

    def _read(self, root: Path) -> LabelledPictures:
        tables = {name: _table(files) for name, files in split_files(root).items() if files}
        parts_of, remarks = self._parts(tables)
        pictures: dict[str, Picture] = {}
        labels: dict[str, tuple[str, ...]] = {}
        parts: dict[str, str] = {}
        is_multi_label = False
        for part, split in parts_of.items():
            columns = _Columns.of(self, tables[split], f"{self.title}: split {split}")
            is_multi_label |= columns.is_list
            num_unlabelled = 0
            for i, picture, names in columns.rows(split):
                if names is None:
                    num_unlabelled += 1
                    continue
                pictures[i], labels[i], parts[i] = picture, names, part
            if num_unlabelled:
                remarks.append(f"left out, {split} without a label: {num_unlabelled:,}")
        ids = sorted(labels)
        return LabelledPictures(
            root=root,
            labels={i: labels[i] for i in ids},
            parts=None if "all" in parts_of else parts,
            is_multi_label=is_multi_label,
            remarks=remarks,
            warnings=alike(sorted({name for names in labels.values() for name in names})),
            pictures=pictures,
            facts={"dataset": self.title, "revision": root.name},
            feature_set=f"{self.called}-{root.name[:12]}",
        )

    def place(self, root: Path) -> str:
        """The dataset as the user names it."""
        return self.title

    def _parts(self, tables: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
        """The split of each part, and remarks on those that are not used. Raises DatasetError."""
        there = ", ".join(tables)
        for _, split in self.splits:
            if split not in tables:
                raise DatasetError(f"{self.title}: has no split {split!r}; it has {there}.")
        if self.splits:
            return dict(self.splits), []
        if len(tables) == 1:
            return {"all": next(iter(tables))}, []
        found: dict[str, str] = {}
        for split in tables:
            if part := PART_NAMES.get(split.lower()):
                if part in found:
                    raise DatasetError(
                        f"{self.title}: {found[part]!r} and {split!r} both {part}. Choose by"
                        " train=, validation= and test=, as train=train,test=test."
                    )
                found[part] = split
        if "train" not in found or len(found) < 2:
            raise DatasetError(
                f"{self.title}: of its splits {there} it is not clear which train and which are"
                " tested. Choose by train=, validation= and test=, or one of them by split=."
            )
        unused = [split for split in tables if split not in found.values()]
        return found, [f"splits not used: {', '.join(unused)}"] if unused else []


@dataclass(frozen=True)
class _Columns:
    """The columns of pictures and labels of one split."""

    image: Any  # pyarrow's ChunkedArray of {bytes, path}, or of bytes
    label: Any
    names: Sequence[str] | None  # of the classes by number
    is_list: bool
    where: str
    path: Path  # the first of the split's Arrow files, which are written together

    @classmethod
    def of(cls, protocol: HubPictures, dataset: Any, where: str) -> "_Columns":
        """Raises DatasetError where it is not clear which columns they are."""
        import datasets

        features, title = dataset.features, protocol.title

        def chosen(kind: str, given: str, found: Sequence[str], what: str) -> str:
            columns = ", ".join(features)
            if given and given not in features:
                raise DatasetError(f"{title}: has no column {given!r}; it has {columns}.")
            if not given and not found:
                raise DatasetError(
                    f"{title}: has no column of {what}; of {columns} choose one by {kind}=."
                )
            if not given and len(found) > 1:
                raise DatasetError(
                    f"{title}: columns of {what} are {', '.join(found)}. Choose one by {kind}=,"
                    f" as {kind}={found[0]}."
                )
            return given or found[0]

        images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
        image = chosen("image_column", protocol.image_column, images, "pictures")
        label = chosen(
            "label_column", protocol.label_column, list(_label_columns(features)), "labels"
        )
        kind = features[label]
        item = _item(kind)
        return cls(
            image=dataset.data.column(image),
            label=dataset.data.column(label),
            names=item.names if isinstance(item, datasets.ClassLabel) else None,
            is_list=item is not kind,
            where=where,
            path=Path(dataset.cache_files[0]["filename"]),
        )

    def rows(self, split: str) -> Iterator[tuple[str, Picture, tuple[str, ...] | None]]:
        """Id, picture and classes of each row; classes are None where it has no label."""
        size = len(self.label)
        digits = len(str(max(0, size - 1)))
        for number, label in enumerate(self.label.to_pylist()):
            i = f"{split}/{number:0{digits}d}"
            yield i, self._picture(number, i), self._classes(label)

    def _picture(self, number: int, i: str) -> Picture:
        value = self.image[number]
        if hasattr(value, "keys") and not value["bytes"].is_valid and value["path"].is_valid:
            file = Path(value["path"].as_py())
            if not is_in_cache(file):
                raise DatasetError(
                    f"{self.where}, row {number}: {str(file)!r} is no picture of the dataset's: it"
                    " lies elsewhere on this machine, or nowhere."
                )
            return file
        return DatasetRow(self._content, number, i, self.path)

    def _content(self, number: int) -> bytes:
        value = self.image[number]
        content = (value["bytes"] if hasattr(value, "keys") else value).as_py()
        if not isinstance(content, bytes):
            raise ValueError("the row holds no picture")
        return content

    def _classes(self, label: Any) -> tuple[str, ...] | None:
        if self.is_list:
            return (
                None
                if label is None
                else tuple(dict.fromkeys(filter(None, map(self._name, label))))
            )
        name = self._name(label)
        return None if name is None else (name,)

    def _name(self, label: Any) -> str | None:
        """The name of a class; None for no label, which some write as -1."""
        if label is None or label == "" or (self.names is not None and label < 0):
            return None
        name = self.names[label] if self.names is not None else str(label)
        check_text(name, self.where)
        return name


def _table(files: Sequence[Path]) -> Any:
    """The rows of Arrow files, which stay on disk until they are read."""
    from datasets import Dataset, concatenate_datasets

    return concatenate_datasets([Dataset.from_file(str(file)) for file in files])


def _label_columns(features: Mapping[str, Any]) -> Iterator[str]:
    """The columns that may be labels: those of classes; else texts and numbers so called."""
    import datasets

    of_classes = [n for n, kind in features.items() if isinstance(_item(kind), datasets.ClassLabel)]
    single = [n for n in of_classes if _item(features[n]) is features[n]]
    yield from single or of_classes or _so_called(features)


def _so_called(features: Mapping[str, Any]) -> Iterator[str]:
    for name, kind in features.items():
        dtype = str(getattr(_item(kind), "dtype", ""))
        if name.lower() in LABEL_NAMES and dtype.startswith(
            ("string", "large_string", "int", "uint")
        ):
            yield name


def _item(kind: Any) -> Any:
    """What a list holds, or the thing itself."""
    if isinstance(kind, list) and len(kind) == 1:
        return kind[0]
    return getattr(kind, "feature", kind)
