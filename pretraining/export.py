"""A trained net -> its weights with their card, and the record of its training."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from vggfeat.pretraining.position import Position
from vggfeat.pretraining.train import StageSpec, TrainedNet
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.storage.checksums import seal_file, sealed
from vggfeat.storage.files import new_file
from vggfeat.vgg import VGG
from vggfeat.weights.checkpoint import Card, sealed_metadata

RECORD_SCHEMA_VERSION = 1
TIMES_OF_EPOCHS = ("seconds",)
OF_ONE_RUN = ("seconds", "hardware", "versions", "git", "command", "time")
NO_STD = (1.0, 1.0, 1.0)  # the paper subtracts the mean and does not scale


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """Writes what a stage leaves behind, but for its log and checkpoints."""

    spec: StageSpec
    digest: str  # of the pictures that are trained on
    labelled_digest: str  # of all pictures of their folder, also those without a box
    command: str

    def write_best(self, net: VGG, position: Position) -> None:
        """Write the weights of the best epoch so far with their card."""
        with new_file(self.spec.folder / "best.safetensors") as file:
            file.write(self._content(net, self._facts(position, "the best epoch so far")))

    def write(self, path: Path, trained: TrainedNet) -> None:
        """Write the record, and then the weights to `path` unless they have learned nothing.

        In this order, as a stage whose weights are there is not begun again.
        """
        facts = self._facts(trained.position, trained.ended)
        content = self._content(trained.net, facts)
        facts["communication"] = trained.communication and asdict(trained.communication)
        sha256 = hashlib.sha256(content).hexdigest()
        write_record(path, None if trained.problem else sha256, facts)
        if not trained.problem:
            with new_file(path) as file:
                file.write(content)

    def _content(self, net: VGG, facts: dict[str, Any]) -> bytes:
        """A .safetensors file of the weights with their card, the same for the same training.

        What differs from one run to the next is in the record only.
        """
        card = Card(
            net=self.spec.recipe.net_specification,
            classes=self.spec.pictures.classes,
            mean=self.spec.colours.mean,
            std=NO_STD,
            training=_lasting(facts),
        )
        tensors = {name: value.cpu().contiguous() for name, value in net.state_dict().items()}
        content = BytesIO(save(tensors, sealed_metadata(tensors, card)))
        seal_file(content)
        return content.getvalue()

    def _facts(self, position: Position, ended: str) -> dict[str, Any]:
        """How the weights were made, in plain JSON values."""
        spec, pictures, curve = self.spec, self.spec.pictures, position.curve
        metrics = spec.recipe.objective(len(pictures.classes)).metrics
        best = max(curve, key=lambda line: line[metrics[0]])
        return {
            "stage": spec.recipe.name,
            "recipe": asdict(spec.recipe),
            "begun_with": spec.begun_with,
            "data": {
                "digest": self.digest,
                "labelled": self.labelled_digest,
                "classes": len(pictures.classes),
                "train": len(pictures.train),
                "validation": len(pictures.validation),
                "notes": list(pictures.notes),
                "unreadable": position.unreadable,
            },
            "accuracy": accuracy_of(curve[-1], metrics),
            "best": accuracy_of(best, metrics),
            "ended": ended,
            "updates": curve[-1]["step"],
            "seconds": curve[-1]["seconds"],
            "curve": curve,
            "precision": spec.runtime.resolved_precision,
            "processes": spec.world.size,
            "hardware": hardware(spec.runtime.device_type),
            "versions": library_versions(),
            "git": git_state(),
            "command": self.command,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def _lasting(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without those of one run: when, how fast, where and by which command."""
    lasting = {name: value for name, value in facts.items() if name not in OF_ONE_RUN}
    lasting["curve"] = [
        {name: value for name, value in line.items() if name not in TIMES_OF_EPOCHS}
        for line in facts["curve"]
    ]
    return lasting


def write_record(path: Path, sha256: str | None, facts: dict[str, Any]) -> None:
    """Write the record of the weights at `path`; sha256 is their file's digest, None without."""
    weights = sha256 and {"sha256": sha256}
    values = {"schema_version": RECORD_SCHEMA_VERSION, "weights": weights, **facts}
    with new_file(path.with_suffix(".json")) as file:
        file.write((json.dumps(sealed(values), indent=1) + "\n").encode())


def accuracy_of(line: dict[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    """The metrics on the validation pictures in an epoch's line of the log, and its number."""
    return {name: line[name] for name in (*metrics, "epoch")}


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors, whatever file they lie in."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(f"{name}\n".encode())
        total.update(weights[name].contiguous().numpy())
    return total.hexdigest()
