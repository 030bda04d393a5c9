"""Records of runs at scale: JSON, schema version 1, `results/scale/<name>/cpu.json`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vggfeat.errors import RecordError
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.storage.checksums import SEAL, is_damaged, parse_json, sealed
from vggfeat.storage.files import new_file

SCHEMA_VERSION = 1
REMEDY = "Remove it to measure again."


def write(name: str, folder: Path, *, command: str, **content: Any) -> Path:
    """Write what was measured of this machine, now, with its versions; the path of the record."""
    facts = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "command": command,
        "hardware": hardware("cpu"),
        "versions": library_versions(),
        "git": git_state(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = _path(name, folder)
    with new_file(path) as file:
        file.write(json.dumps(sealed(facts | content), indent=1).encode() + b"\n")
    return path


def read(name: str, folder: Path) -> dict[str, Any] | None:
    """A record without its digest; None if there is none. Raises RecordError."""
    path = _path(name, folder)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{path}: cannot be read ({error}). Remove it to measure again."
        ) from error
    if not isinstance(content, Mapping) or content.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(
            f"{path}: not a record of scale of schema version {SCHEMA_VERSION}. {REMEDY}"
        )
    if is_damaged(content):
        raise RecordError(f"{path}: not as it was written: its digest is another. {REMEDY}")
    return {key: value for key, value in content.items() if key != SEAL}


def _path(name: str, folder: Path) -> Path:
    return folder / name / "cpu.json"
