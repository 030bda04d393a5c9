"""Nets on a benchmark by a probe on their frozen features: vectors, choice of C, scores, record.

Shapes: N examples, n of them readable, K classes, D dimensions of the vector of an example.
"""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vggfeat.backbones.network import Network
from vggfeat.benchmarks.benchmark import rows_of
from vggfeat.benchmarks.net_facts import net_facts, stage_seconds
from vggfeat.benchmarks.probe_saving import save_probe
from vggfeat.benchmarks.probing import ProbeMeasurement, Vectors, path_of_probe
from vggfeat.benchmarks.record_key import archive_key, record_key
from vggfeat.benchmarks.scales import OfInput, scales_for
from vggfeat.benchmarks.streamed_vectors import StreamedVectors, of_nets
from vggfeat.benchmarks.submission import archive
from vggfeat.errors import DatasetError
from vggfeat.features import store
from vggfeat.features.aggregate import aggregate, fuse
from vggfeat.features.changed import content_sha256, written_since
from vggfeat.features.degenerate import notes_on
from vggfeat.features.extract import Extracted
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.images import Picture
from vggfeat.images import digest as digest_of
from vggfeat.plurals import counted
from vggfeat.probes import probe_file
from vggfeat.progress import Progress
from vggfeat.records.record import Record
from vggfeat.storage.files import new_file

log = logging.getLogger(__name__)

CONTENT = "pictures_sha256"  # of a net in the record of a user's pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferMeasurement(ProbeMeasurement):
    """One benchmark with one net, or several nets that are fused, under one set of settings."""

    networks: Sequence[Network]
    saves_probe: bool = False

    @property
    def supplement(self) -> str:
        parts = ["the server's archive"] * self._sends + ["the saved probe"] * self.saves_probe
        return " and ".join(parts)

    @property
    def name(self) -> str:
        return "+".join(network.name for network in self.networks)

    @property
    def nets(self) -> str:
        return "+".join(network.label for network in self.networks)

    @property
    def may_skip(self) -> bool:
        return self.settings.extraction.on_error == "skip"

    @property
    def assumptions(self) -> list[str]:
        return [network.assumption for network in self.networks if network.assumed]

    @property
    def known_notes(self) -> Sequence[str]:
        # What the scale is belongs into the record, and is nothing to warn of.
        return [*super().known_notes, *self._scale_remarks()]

    @cached_property
    def key(self) -> str:
        """The key of the record, see record_key.py."""
        return record_key(self.benchmark, self.requests(), self.settings.vectors, self.probe)

    def requests(self) -> list[FeatureRequest]:
        return self._requests(self.benchmark.used)

    def extractions(self, *, made_too: bool) -> list[FeatureRequest]:
        wanted = []
        saves = self.saves_probe and not self.probe_path.is_file()
        if made_too or saves or self.existing() is None:
            wanted += self._requests(self.benchmark.extracted)
        if self._sends and (made_too or not self._archives()):
            wanted += self._requests(self._archived)
        return wanted

    def vectors(self, features: FeatureSets) -> Vectors:
        settings = self.settings
        requests = self._requests(self.benchmark.extracted)
        extracted = [features.extract(request) for request in requests]
        skipped = {
            i: reason
            for file in extracted
            for i, reason in file.skipped.items()
            if i in self.benchmark.used
        }
        rows = self._readable(self.benchmark.used_rows, skipped)
        vectors, digests, remarks = self._vectors_that_fit(
            rows, extracted, self.scratch or features.folder
        )
        return Vectors(
            rows=rows,
            vectors=vectors,
            protocol={
                "scales": list(settings.extraction.scales),
                **vars(settings.vectors),
                "mirror": settings.extraction.mirror,
                "view": " ".join(dict.fromkeys(net.backbone.view for net in self.networks)),
                "normalisation": self._normalisation(),
            },
            nets=[
                net_facts(request, file, digest) | self._content(file, skipped)
                for request, file, digest in zip(requests, extracted, digests, strict=True)
            ],
            skipped=skipped,
            remarks=[*remarks, *self._scale_remarks()],
            seconds=stage_seconds(extracted),
        )

    def _scale_remarks(self) -> list[str]:
        """What the scales follow from, where they follow from the nets' input."""
        stated, used = self.benchmark.scales, self.settings.extraction.scales
        several = len({network.backbone.input_size for network in self.networks}) > 1
        if not isinstance(stated, OfInput) or several or used != scales_for(stated, self.networks):
            return []
        return [f"the scale of {used[0]} pixels is {stated}"]

    def check_existing(self, record: Record) -> None:
        """Raise DatasetError if a user's pictures hold something else than when they were measured.

        Other names or sizes are another key, and so another record.
        """
        stated = record.nets[0].get(CONTENT)
        if stated is None:  # published pictures do not change
            return
        pictures = {i: p for i, p in self.benchmark.used.items() if i not in record.skipped}
        written = written_since(pictures, record.time)
        if written and stated != content_sha256({i: digest_of(p) for i, p in pictures.items()}):
            raise DatasetError(
                f"{self.path}: is of other pictures: {len(written)} were written since, such as"
                f" {written[0]!r}. Move it away to measure again."
            )

    def _content(self, extracted: Extracted, skipped: Collection[str]) -> dict[str, str]:
        """What a user's pictures hold, by which `check_existing` knows them again."""
        if not self.benchmark.is_own:
            return {}
        _, known = store.known_digests(extracted.path)
        digests = {i: known.get(i) for i in self.benchmark.used if i not in skipped}
        return {} if None in digests.values() else {CONTENT: content_sha256(digests)}

    def finish(self, features: FeatureSets, progress: Progress) -> None:
        """Write what the evaluation server is sent, and the probe where it is to be saved.

        A part of a set is not sent.
        """
        if self._sends:
            self._write_archive(features, progress)
        if self.saves_probe:
            save_probe(self, features, progress)

    def _write_archive(self, features: FeatureSets, progress: Progress) -> None:
        path = self.archive_path
        if existing := self._archives():
            log.debug("made already: %s", existing[0])
            return
        packed, num_unscored = self.server_archive(features, progress)
        if num_unscored:
            # Under another name, as it is not the archive of the whole test set.
            path = path.with_name(f"without-{num_unscored}-{path.name}")
            unscored = counted(
                num_unscored,
                "example of the test set has no score",
                "examples of the test set have no score",
            )
            log.warning("%s: %s", path, unscored)
        with new_file(path) as file:
            file.write(packed)
        log.debug("wrote %s, for the evaluation server", path)

    @property
    def _sends(self) -> bool:
        """Whether an evaluation server is sent something."""
        return self.benchmark.submission is not None and not self.benchmark.limited

    def _archives(self) -> list[Path]:
        """The archives for the server that are there, under whichever name."""
        path = self.archive_path
        partial = path.parent.glob(f"without-*-{path.name}") if self.may_skip else ()
        return [*([path] if path.is_file() else []), *partial]

    @cached_property
    def _archived(self) -> dict[str, Picture]:
        """The pictures that the archive for the server is made of."""
        return self.benchmark.pictures_at(rows_of([self.benchmark.submission.split]))

    @cached_property
    def archive_path(self) -> Path:
        """Where the archive for the evaluation server lies or will lie."""
        key = archive_key(self.key, self.benchmark)
        return self.path_of(key).with_suffix(".server.tar.gz")

    @property
    def probe_path(self) -> Path:
        """Where the probe of the first split lies or will lie."""
        return self.path.with_suffix(probe_file.SUFFIX)

    def server_archive(self, features: FeatureSets, progress: Progress) -> tuple[bytes, int]:
        """The archive's content, and how many of its examples have no score.

        Trains on `submission.split` and scores its test rows. What a skipped picture stands for
        has no line, which the server ranks last.
        """
        benchmark, split = self.benchmark, self.benchmark.submission.split
        rows = rows_of([split])
        requests = self._requests(self._archived)
        extracted = [features.extract(request) for request in requests]
        rows = self._readable(rows, {i for file in extracted for i in file.skipped})
        folder = self.scratch or features.folder
        vectors, *_ = self._vectors_that_fit(rows, extracted, folder)
        readable = split.among(rows)
        fitted = benchmark.task.fit(
            vectors, benchmark.labels[rows], readable, classes=benchmark.classes,
            probe=self.probe, progress=self.of_all_splits(progress, 0, 1),
        )  # fmt: skip
        scored = rows[readable.test]
        packed = archive(
            benchmark.submission.file,
            benchmark.classes,
            [benchmark.ids[row] for row in scored],
            benchmark.submission.listed[np.isin(split.test, scored)],
            fitted.decisions(vectors, readable.test),
        )
        return packed, len(split.test) - len(scored)

    def _vectors_that_fit(
        self, rows: np.ndarray, extracted: Sequence[Extracted], folder: Path
    ) -> tuple[np.ndarray | StreamedVectors, list[str], list[str]]:
        """What `read_vectors` gives; vectors that do not fit into memory are in a file there."""
        num_views = len(self.benchmark.pictures_of[self.benchmark.ids[rows[0]]])
        num_scales = len(self.settings.extraction.scales)
        dim = num_views * sum(network.backbone.dim for network in self.networks)
        of_vector = num_scales * dim if self.settings.vectors.aggregate == "stack" else dim
        choice = path_of_probe(
            self.benchmark, self.probe, (len(rows), of_vector), num_scales * dim, self.memory
        )
        for remark in choice.remarks:
            log.info("%s: %s", self.label, remark)
            self.said.append(remark)
        read = self.stream_vectors if choice.streams else self.read_vectors
        vectors, digests, notes = read(rows, extracted, *[folder] * choice.streams)
        return vectors, digests, [*notes, *choice.remarks]

    def stream_vectors(
        self, rows: np.ndarray, extracted: Sequence[Extracted], folder: Path
    ) -> tuple[StreamedVectors, list[str], list[str]]:
        """What `read_vectors` gives, with the vectors in a scratch file in this folder."""
        ids, views = self.benchmark.ids, self.benchmark.pictures_of
        return of_nets(
            self.networks,
            [file.path for file in extracted],
            [*zip(*(views[ids[row]] for row in rows), strict=True)],
            self.settings.extraction.scales,
            self.settings.vectors,
            folder=folder,
            shared=self.workers.size > 1,
        )

    def read_vectors(
        self, rows: np.ndarray, extracted: Sequence[Extracted]
    ) -> tuple[np.ndarray, list[str], list[str]]:
        """Vectors [n, D] of these examples, a digest of each net's descriptors, notes on them.

        Raises NetworkError if a net gives all pictures the same descriptors.
        """
        benchmark, settings = self.benchmark, self.settings
        parts, digests, notes = [], [], []
        for network, file in zip(self.networks, extracted, strict=True):
            digest = hashlib.sha256()
            pictures = (benchmark.pictures_of[benchmark.ids[row]] for row in rows)
            for ids in zip(*pictures, strict=True):
                descriptors = store.read(file.path, ids, settings.extraction.scales)
                digest.update(descriptors.tobytes())
                notes += notes_on(descriptors, ids, network.label)
                parts.append(aggregate(descriptors, settings.vectors))
            digests.append(digest.hexdigest())
        return fuse(parts), digests, notes

    def digests(self, extracted: Sequence[Extracted], skipped: Collection[str]) -> list[str]:
        """The digest of each net's descriptors, as its record has it. Raises StoreError."""
        return self.read_vectors(self._readable(self.benchmark.used_rows, skipped), extracted)[1]

    def _requests(self, pictures: Mapping[str, Picture]) -> list[FeatureRequest]:
        return [
            FeatureRequest(
                dataset=self.benchmark.feature_set,
                pictures=pictures,
                network=network,
                options=self.settings.extraction,
                may_change=self.benchmark.is_own,
            )
            for network in self.networks
        ]

    def _readable(self, rows: np.ndarray, skipped: Collection[str]) -> np.ndarray:
        """Those of the examples all of whose pictures could be read."""
        benchmark, unread = self.benchmark, set(skipped)
        kept = [row for row in rows if unread.isdisjoint(benchmark.pictures_of[benchmark.ids[row]])]
        if not kept:
            raise DatasetError(
                f"{benchmark.name}: no picture could be read; {len(skipped)} skipped."
            )
        return np.array(kept)

    def _normalisation(self) -> str:
        num_views = len(next(iter(self.benchmark.pictures_of.values())))
        steps = ["L2 of each scale"] if self.settings.vectors.scale_l2 else []
        of_views = " of picture and of box" if num_views > 1 else ""
        steps.append(f"L2 of each net's vector{of_views}")
        if len(self.networks) * num_views > 1:
            steps.append("L2 of the stacked vectors")
        return ", ".join(steps)
