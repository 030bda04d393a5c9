"""`rows`: a million pictures by four processes of which one is killed again and again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vggfeat.benchmarks.scale import record
from vggfeat.benchmarks.scale.disturbed_run import Kills
from vggfeat.benchmarks.scale.extraction import extract, settings

NAME = "rows"
NUM_PICTURES = 1_000_000
PROCESSES = (4, 4, 3)  # of each start of torchrun, and around
KILLS = Kills(during=22, joining=2, mean_s=6.0, seed=1)
MOST_SAMPLES = 400


def measure(out: Path, scratch: Path, command: str) -> Path:
    """Extract, kill, verify and write the record; nothing where it is there already."""
    if record.read(NAME, out):
        return out / NAME
    done = extract(scratch, NUM_PICTURES, PROCESSES, KILLS)
    facts = done.facts
    return record.write(
        NAME,
        out,
        command=command,
        settings=settings([NUM_PICTURES]) | {"processes": list(PROCESSES)},
        seconds=round(facts.seconds, 1),
        extracted_s=round(facts.extracted_s, 1),
        starts_of_torchrun=facts.starts,
        kills=facts.kills,
        peak_rss_mib=facts.peak_rss,
        peak_pss_mib=round(facts.peak_pss, 1),
        rss_mib_by_tenth=by_tenth(facts.samples, NUM_PICTURES),
        verified=done.verified.to_json(),
        events=facts.events,
        samples=thinned(facts.samples),
    )


def by_tenth(samples: Sequence[dict[str, Any]], num_rows: int) -> list[float]:
    """MiB of the largest process while each tenth of the rows was made."""
    peaks = [0.0] * 10
    for sample in samples:
        tenth = min(9, 10 * sample["rows"] // num_rows)
        peaks[tenth] = max([peaks[tenth], *sample["rss"]])
    return peaks


def thinned(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most MOST_SAMPLES of the samples, the largest of each group of neighbours."""
    step = -(-len(samples) // MOST_SAMPLES)
    groups = (samples[i : i + step] for i in range(0, len(samples), step))
    return [max(group, key=lambda sample: sum(sample["pss"])) for group in groups]
