"""One shard, from the pictures of its part to the feature file that stands under its name."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import StoreError
from vggfeat.features import store
from vggfeat.features.shards.folder import Manifest, ShardFolder
from vggfeat.processes.claims import Claim
from vggfeat.provenance import library_versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardMaker:
    """Makes the shard of a part that this process has claimed.

    What other processes had begun of it is taken, as far as it is done and sound. Several may make
    the same shard, as one that was thought dead may live: each has a file of its own, and what they
    make is the same.
    """

    folder: ShardFolder
    manifest: Manifest
    claim: Claim

    @property
    def path(self) -> Path:
        """Where the shard is made."""
        return self.folder.begun(self.claim.part, self.claim.token)

    @contextmanager
    def writer(self, file_bytes: Mapping[str, int]) -> Iterator[store.FeatureWriter]:
        """A `with` block with the writer of the shard, which has what is left of earlier ones.

        file_bytes maps the id of each picture to the size of its file.
        """
        begun = [*self._begun(file_bytes)]
        with store.FeatureWriter(
            self.path,
            self.manifest.conditions,
            dim=self.manifest.dim,
            file_bytes=file_bytes,
            weights_name=self.manifest.weights_name,
            versions=library_versions(),
            other_versions=[each for _, versions in begun for each in versions],
            batch_pixels=self.manifest.batch_pixels,
            created=self.manifest.created,
            locked=False,  # nobody else knows the token
        ) as writer:
            for path, _ in begun:
                self._take(writer, path, file_bytes)
            yield writer

    def _begun(self, file_bytes: Mapping[str, int]) -> Iterator[tuple[Path, list[dict[str, str]]]]:
        """What others have begun of the part and can be read, and the versions that wrote it."""
        for path in self.folder.leftovers(self.claim.part):
            try:
                if not file_bytes.keys().isdisjoint(store.sound_rows(path).ids):
                    yield path, store.versions(path)
            except (StoreError, OSError) as error:  # killed while it was made, or removed now
                log.debug("nothing is taken from %s: %s", path, error)

    def _take(self, writer: store.FeatureWriter, path: Path, file_bytes: Mapping[str, int]) -> None:
        """Store the rows of another file that are missing, and of pictures as they are now."""
        try:
            rows = store.sound_rows(path)
        except (StoreError, OSError) as error:  # it was removed meanwhile
            log.debug("nothing is taken from %s: %s", path, error)
            return
        if rows.conditions != self.manifest.conditions:
            return
        missing = writer.missing(file_bytes)
        lengths = rows.file_bytes.tolist()
        kept = [
            row for row, i in enumerate(rows.ids) if i in missing and lengths[row] == file_bytes[i]
        ]
        if kept:
            writer.write(
                [rows.ids[row] for row in kept],
                rows.vectors[kept],
                rows.image_sizes[kept],
                [lengths[row] for row in kept],
                [rows.picture_sha256[row] for row in kept],
            )
            writer.commit()

    def finish(self, broken: Mapping[str, str]) -> None:
        """Give the shard its name, unless another process was faster, and remove what is left.

        broken (name -> reason) are pictures that cannot be read, and what is no picture.
        """
        shard, made = self.folder.shard(self.claim.part), self.path
        if not shard.exists():
            if broken or self.manifest.compression:
                whole = self.folder.begun(self.claim.part, f"{self.claim.token}-whole")
                whole.unlink(missing_ok=True)
                store.write_whole(made, whole, compression=self.manifest.compression, broken=broken)
                made = whole
            made.replace(shard)
        for path in self.folder.leftovers(self.claim.part):
            path.unlink(missing_ok=True)
