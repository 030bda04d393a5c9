"""`python -m torture [--short]`, from the folder tests: everything that a program can meet.

Kills, flipped bits, disks that are full, the same command twice at once, hostile files, and mutated
inputs for every parser. It prints what came of each, and ends with 1 if anything was lost.
"""

import argparse
import sys
import time

from torture import disks, flips, hostile, kills, pairs, parsers
from vggfeat.provenance import git_state, hardware, library_versions


def main() -> int:
    """Run all; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a twentieth of everything")
    part = 20 if parser.parse_args().short else 1
    machine, commit = hardware("cpu"), git_state()
    print(f"torture on {machine['cpu']}, {machine['cores']} cores, commit {commit}")
    print(", ".join(f"{name} {version}" for name, version in library_versions().items()))
    stages = {
        "kills": lambda: kills.main(200 // part),
        "flipped bits": lambda: flips.main(1500 // part),
        "disks that are full": disks.main,
        "twice at once": lambda: pairs.main(max(1, 10 // part)),
        "hostile files": hostile.main,
        "mutated inputs": lambda: parsers.main(10_000 // part),
    }
    wrong = 0
    for name, stage in stages.items():
        began = time.monotonic()
        print(f"\n{name}", flush=True)
        found = stage()
        wrong += found
        print(f"{name}: {found} losses, silent uses or faults, {time.monotonic() - began:.0f} s")
    print(f"\n{wrong} in all")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
