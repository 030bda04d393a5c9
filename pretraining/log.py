"""The log of a run: log.jsonl, one JSON object a line, and TensorBoard's files on request.

Lines have a `kind`: "start" (also after an interruption), "train" every few updates, "epoch" at the
end of each. All but "start" have `step`, the number of updates that are done.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vggfeat.errors import OptionError, TrainingError
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.files import full_disk_names, new_file

NAME = "log.jsonl"


class RunLog:
    """Appends to a run's log, after dropping the lines that are newer than its checkpoint.

    The checkpoint was written after `step` updates and `epoch` validated epochs.
    """

    def __init__(self, folder: Path, step: int, epoch: int, *, tensorboard: bool = False):
        self.path = folder / NAME
        kept = [
            line
            for line in _lines(self.path)
            if line.get("step", 0) <= step
            and (line.get("kind") != "epoch" or line.get("epoch", 0) <= epoch)
        ]
        with new_file(self.path) as file:
            file.write("".join(f"{json.dumps(line)}\n" for line in kept).encode())
        self.file = self.path.open("a")
        self.tensorboard = _tensorboard(folder, step) if tensorboard else None

    def write(self, kind: str, **values: Any) -> None:
        """Append a line, also to TensorBoard if it has a step."""
        with full_disk_names(self.path):
            self.file.write(json.dumps({"kind": kind, **values}) + "\n")
            self.file.flush()
        if self.tensorboard and "step" in values:
            for name, value in values.items():
                if isinstance(value, int | float) and name != "step":
                    self.tensorboard.add_scalar(f"{kind}/{name}", value, values["step"])

    def close(self) -> None:
        """Close the log and TensorBoard's files."""
        with full_disk_names(self.path):
            self.file.close()
        if self.tensorboard:
            self.tensorboard.close()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log. Raises TrainingError if there are none."""
    lines = list(_lines(folder / NAME))
    if not lines:
        raise TrainingError(f"{folder}: holds no {NAME}. Name the folder of a run.")
    return lines


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines; a kill may have torn the last one."""
    if not path.is_file():
        return
    for line in path.read_text(errors="replace").splitlines():
        try:
            values = parse_json(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            yield values


def _tensorboard(folder: Path, step: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise OptionError("--tensorboard needs a library: pip install tensorboard") from error
    return SummaryWriter(folder / "tensorboard", purge_step=step + 1)
