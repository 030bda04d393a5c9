"""One extraction of numbered pictures by some processes, looked at while it runs, then verified."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.backbones.factory import build
from vggfeat.benchmarks.scale.disturbed_run import DisturbedRun, Kills, RunFacts, torchrun
from vggfeat.benchmarks.scale.numbered_pictures import NAME_DIGITS, PICTURES_A_TAR, SIDE, write_tars
from vggfeat.benchmarks.scale.verification import SHARDS, Verified, sample_error, verify
from vggfeat.errors import VggfeatError

FACTORY = "vggfeat.benchmarks.scale.small_net:small_net"
TARS_READ = 40  # at most, of which a few pictures go through the net in plain torch
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
NET = f"{FACTORY}:input_size={SIDE},mean={'/'.join(map(str, MEAN))},std={'/'.join(map(str, STD))}"
OPTIONS = ("--net", NET, "--scales", str(SIDE), "--no-mirror", "--precision", "fp32", "--quiet")


@dataclass(frozen=True)
class Extraction:
    """What was seen of an extraction, and whether its rows are right."""

    output: Path
    facts: RunFacts
    verified: Verified


def extract(
    scratch: Path,
    num_pictures: int,
    processes: Sequence[int],
    kills: Kills | None = None,
) -> Extraction:
    """Extract the first so many numbered pictures from scratch.

    processes says how many work in the first start of torchrun, in the second, and so on around.
    The output is there until the next extraction. Raises VggfeatError unless every row is right.
    """
    tars = write_tars(scratch / "tars", num_pictures)
    output = scratch / "output"
    shutil.rmtree(output, ignore_errors=True)
    log_path = scratch / "log.txt"
    log_path.unlink(missing_ok=True)
    arguments = ["extract", "--images", named(tars), "--to", f"{output}/", *OPTIONS]

    def rows_done() -> int:
        shards = sum(1 for _ in output.glob(SHARDS))
        return min(num_pictures, shards * PICTURES_A_TAR)

    facts = DisturbedRun(
        [torchrun(number, arguments) for number in processes],
        rows_done,
        num_pictures,
        kills or Kills(),
        log_path,
    ).run()
    net, mean, std = build(FACTORY), np.array(MEAN), np.array(STD)
    verified = verify(output, num_pictures, net, mean, std)
    error = sample_error(tars[:: -(-len(tars) // TARS_READ)], net, mean, std)
    verified.largest_error = max(verified.largest_error, error)
    if not verified.is_sound:
        raise VggfeatError(f"{output}: rows are wrong: {verified.to_json()}")
    return Extraction(output, facts, verified)


def named(tars: Sequence[Path]) -> str:
    """The tars, one after the other, as --images takes them."""
    first, last = tars[0], tars[-1]
    width = NAME_DIGITS
    return str(
        first.with_stem(f"{first.stem[:-width]}{{{first.stem[-width:]}..{last.stem[-width:]}}}")
    )


def settings(num_pictures: Sequence[int]) -> dict[str, Any]:
    """What all runs have in common, as records state it."""
    return {
        "pictures": list(num_pictures),
        "picture": f"PNG, {SIDE}x{SIDE}",
        "pictures_a_tar": PICTURES_A_TAR,
        "options": " ".join(OPTIONS),
    }
