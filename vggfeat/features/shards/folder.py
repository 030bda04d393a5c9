"""A folder of shards: `shards.json`, which says what they are of, and where each of them lies.

FOLDER/shards.json            conditions, source, number of parts; made first
FOLDER/NNN/part-NNNNNN.h5     a shard: the feature file of a part, once it is whole
FOLDER/NNN/.part-NNNNNN.*.h5  what a process works on, or left when it was killed
FOLDER/index.h5               the row of each id, see `index`; made last
"""

import glob
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vggfeat.errors import StoreError
from vggfeat.features import store
from vggfeat.storage.checksums import is_sound, parse_json, sealed
from vggfeat.storage.files import new_file

NAME, INDEX = "shards.json", "index.h5"
SCHEMA_VERSION = 1
COMPRESSIONS = ("gzip",)
PER_FOLDER = 1000  # shards, as file systems and people grow slow where there are more
KINDS = {  # of what a manifest holds, of which programs of others may make what they like
    "weights_name": (str,), "dim": (int,), "source": (str,), "num_parts": (int,),
    "compression": (str, type(None)), "created": (str,), "batch_pixels": (int, type(None)),
}  # fmt: skip
REMEDY = "Choose another folder with --to, or move this one away."


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `shards.json` says: what decides the values, where they come from, how they are kept."""

    conditions: store.Conditions
    weights_name: str
    dim: int
    source: str  # the digest of what decides the parts
    num_parts: int
    compression: str | None
    created: str
    batch_pixels: int | None = None  # by which batches for a GPU are cut

    def to_json(self) -> str:
        """As it stands in the file, with its digest."""
        values = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        return json.dumps(sealed(values), indent=1) + "\n"

    @property
    def promises(self) -> dict[str, Any]:
        """What must be the same for a run to go on with the folder."""
        of_all = {"source": self.source, "parts": self.num_parts, "compression": self.compression}
        return {**asdict(self.conditions), **of_all, "dim": self.dim}


def parse_manifest(text: str | bytes, named: Path) -> Manifest:
    """What a text of `shards.json` says. Raises StoreError, which names the file."""
    try:
        values = parse_json(text)
        if values.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema version {values.get('schema_version')}")
        if not is_sound(values):
            raise ValueError("it is not as it was written")
        kept = {name: values[name] for name in Manifest.__dataclass_fields__}
        for name, kinds in KINDS.items():
            if type(kept[name]) not in kinds or (kinds == (int,) and kept[name] < 0):
                raise ValueError(f"{name} is {kept[name]!r}")
        stated = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in kept.pop("conditions").items()
        }
        return Manifest(conditions=store.Conditions(**stated), **kept)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(f"{named}: cannot be read ({error}). {REMEDY}") from error


@dataclass(frozen=True)
class ShardFolder:
    """The places of the shards of a folder."""

    path: Path

    @property
    def manifest_path(self) -> Path:
        """Where `shards.json` is."""
        return self.path / NAME

    @property
    def index_path(self) -> Path:
        """Where the index is."""
        return self.path / INDEX

    @property
    def broken_list(self) -> Path:
        """Where what is no picture is listed."""
        return self.path / "broken.csv"

    @property
    def duplicates_list(self) -> Path:
        """Where rows are listed whose id stands in an earlier one."""
        return self.path / "duplicates.csv"

    def manifest(self) -> Manifest:
        """What `shards.json` says. Raises StoreError."""
        if not self.manifest_path.is_file():
            raise StoreError(f"{self.path}: no folder of shards, as it has no {NAME}.")
        return parse_manifest(self.manifest_path.read_bytes(), self.manifest_path)

    def begin(self, asked: Manifest) -> Manifest:
        """The manifest of the folder: as it was begun, or else the one asked for, which is written.

        Raises StoreError if the folder is of other conditions, another source or compression.
        """
        if not self.manifest_path.exists():
            with new_file(self.manifest_path) as file:
                file.write(asked.to_json().encode())
        begun = self.manifest()  # another command may have begun it at the same moment
        differences = [
            f"{name} is {value!r} in the folder, {asked.promises[name]!r} asked"
            for name, value in begun.promises.items()
            if value != asked.promises[name]
        ]
        if differences:
            raise StoreError(f"{self.path}: made otherwise: {'; '.join(differences)}. {REMEDY}")
        return begun

    def shard(self, part: int) -> Path:
        """Where the shard of a part is once it is whole."""
        return self.path / f"{part // PER_FOLDER:03d}" / f"part-{part:06d}.h5"

    def name_of(self, part: int) -> str:
        """The path of a shard within the folder."""
        return self.shard(part).relative_to(self.path).as_posix()

    def begun(self, part: int, token: str) -> Path:
        """Where a process with this token makes the shard of a part."""
        shard = self.shard(part)
        return shard.with_name(f".{shard.stem}.{token}.h5")

    def leftovers(self, part: int) -> list[Path]:
        """What processes have begun of a part, whether they live or not."""
        shard = self.shard(part)
        # Two dots begin what was not even begun to the end, see `storage.files`.
        return sorted(shard.parent.glob(f".*{glob.escape(shard.stem)}.*"))


def is_shard_folder(path: Path) -> bool:
    """Whether a path is a folder of shards."""
    return (path / NAME).is_file()
