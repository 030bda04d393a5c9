"""`python -m torture [--short] [STAGE ...]`, from the folder tests: everything a program can meet.

Kills, flipped bits, disks that are full, the same command twice at once, hostile files, and mutated
inputs for every parser. It prints what came of each, and ends with 1 if anything was lost.
"""

import argparse
import sys
import time
from datetime import UTC, datetime

from torture import disks, flips, hostile, kills, pairs, parsers
from vggfeat.provenance import git_state, hardware, library_versions


def main() -> int:
    """Run all; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a twentieth of everything")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="by default all")
    given = parser.parse_args()
    part = 20 if given.short else 1
    machine, git = hardware("cpu"), git_state() or {}
    print(f"python -m torture {' '.join(sys.argv[1:])}".rstrip())
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {git.get('commit', 'unknown')[:12]}")
    print(f"{machine['cpu']}, {machine['cores']} cores")
    print(", ".join(f"{name} {version}" for name, version in library_versions().items()))
    stages = {
        "kills": lambda: kills.main(200 // part),
        "flips": lambda: flips.main(1500 // part),
        "disks": disks.main,
        "pairs": lambda: pairs.main(max(1, 10 // part)),
        "hostile": hostile.main,
        "parsers": lambda: parsers.main(10_000 // part),
    }
    wrong = 0
    for name in given.stages or stages:
        began = time.monotonic()
        print(f"\n{name}", flush=True)
        found = stages[name]()
        wrong += found
        print(f"{name}: {found} losses, silent uses or faults, {time.monotonic() - began:.0f} s")
    print(f"\n{wrong} in all")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
