"""Inspecting a folder of shards: what it is of, which are there, whether the index is theirs."""

from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import StoreError
from vggfeat.features.shards.folder import Manifest, ShardFolder
from vggfeat.features.shards.index import Index, IndexFacts
from vggfeat.features.shards.index_build import table_of


@dataclass(frozen=True)
class FolderSummary:
    """What a folder of shards holds; of the rows nothing but their number is read."""

    manifest: Manifest
    missing: list[Path]  # shards that are not there yet
    bytes: int  # of the shards
    facts: IndexFacts | None  # None where there is no index of these shards
    reason: str = ""  # why there is none


def inspect_folder(path: Path) -> FolderSummary:
    """Look at a folder of shards. Raises StoreError where `shards.json` is missing or damaged."""
    folder = ShardFolder(path)
    manifest = folder.manifest()
    missing, num_bytes = [], 0
    for part in range(manifest.num_parts):
        try:
            num_bytes += folder.shard(part).stat().st_size
        except FileNotFoundError:
            missing.append(folder.shard(part))
    facts, reason = None, ""
    try:
        facts = checked_index(folder)
    except StoreError as error:
        reason = str(error)
    return FolderSummary(manifest, missing, num_bytes, facts, reason)


def checked_index(folder: ShardFolder, *, whole: bool = False) -> IndexFacts:
    """What the index says, once it is seen to be of the shards that are there.

    whole=True reads all of it. Raises StoreError if it is missing, damaged or of other shards.
    """
    index = Index(folder.index_path)
    try:
        if table_of(folder, folder.manifest().num_parts) != index.table:
            raise StoreError(
                f"{folder.index_path}: is of other shards than are there. Run the same extraction"
                " again, which makes it anew."
            )
        if whole:
            index.check()
    finally:
        index.close()
    return index.facts


def shard_folder_of(path: Path) -> tuple[ShardFolder, int] | None:
    """The folder that a file is a shard of, and its part; None if it is none."""
    folder, _, number = ShardFolder(path.parent.parent), *path.stem.partition("-")[1:]
    if not number.isdecimal() or not folder.manifest_path.is_file():
        return None
    is_shard = path.resolve() == folder.shard(int(number)).resolve()
    return (folder, int(number)) if is_shard else None
