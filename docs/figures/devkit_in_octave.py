"""Average precision here beside the devkit's rules in Octave, on random rankings.

python docs/figures/devkit_in_octave.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vggfeat.metrics import average_precisions

SCRIPT = Path(__file__).with_name("devkit_ap.m")


def rankings(num: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Signs and scores of 3 to 39 pictures each: with ties, difficult ones (0), missing results."""
    rng = np.random.default_rng(seed)
    cases = []
    while len(cases) < num:
        size = int(rng.integers(3, 40))
        signs = rng.choice([1, 0, -1], size=size, p=[0.3, 0.15, 0.55])
        scores = rng.integers(0, int(rng.integers(2, 40)), size=size).astype(float)
        scores[rng.random(size) < 0.1] = -np.inf
        if (signs > 0).any():
            cases.append((signs, scores))
    return cases


def in_octave(cases: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The 11-point mean and the area of each ranking, [N, 2], as Octave computes them."""
    lines = [str(len(cases))]
    for signs, scores in cases:
        lines += [" ".join(map(str, signs)), " ".join(f"{s:.17g}" for s in scores)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cases.txt").write_text("\n".join(lines).replace("inf", "Inf") + "\n")
        command = ["octave-cli", "--norc", "--quiet", str(SCRIPT)]
        subprocess.run(command, cwd=folder, check=True)
        return np.loadtxt(Path(folder, "octave.txt"), ndmin=2)


def main(num: int) -> None:
    """Print how far both are apart."""
    cases = rankings(num)
    results = [average_precisions(signs, scores) for signs, scores in cases]
    here = np.array([[each["map_11pt"], each["map_area"]] for each in results])
    apart = np.abs(here - in_octave(cases))
    other = np.flatnonzero(apart[:, 0] > 1e-12)
    meeting = sum(_meets_a_level(signs) for signs, _ in (cases[i] for i in other))
    print(f"{num} rankings")
    print(f"map_area differs by {apart[:, 1].max():.1e} at most")
    print(f"map_11pt differs in {len(other)}, by {apart[:, 0].max():.3f} at most;")
    print(f"in {meeting} of them a recall is exactly 0.3, 0.6 or 0.7")


def _meets_a_level(signs: np.ndarray) -> bool:
    num_positives = int((signs > 0).sum())
    return any(10 * hits in (3 * num_positives, 6 * num_positives, 7 * num_positives)
               for hits in range(1, num_positives + 1))  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 4000)
