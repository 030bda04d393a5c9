"""`growth`: time and memory of 10^4, 10^5 and 10^6 pictures by 1, 2 and 4 processes; the index."""

from pathlib import Path
from typing import Any

from vggfeat.benchmarks.scale import lookups, record
from vggfeat.benchmarks.scale.extraction import Extraction, extract, settings

NAME = "growth"
PROCESSES = (1, 2, 4)
ROUNDS = {10_000: 3, 100_000: 2, 1_000_000: 1}  # number of pictures -> rounds


def measure(out: Path, scratch: Path, command: str) -> Path:
    """Measure what the record lacks, writing it after each run; in a round processes take turns."""
    existing = record.read(NAME, out) or {"runs": []}
    runs = existing["runs"]
    for round_number in range(max(ROUNDS.values())):
        for num_pictures, rounds in ROUNDS.items():
            for processes in PROCESSES[:: -1 if round_number % 2 else 1]:
                where = {"pictures": num_pictures, "processes": processes, "round": round_number}
                if round_number >= rounds or any(where.items() <= run.items() for run in runs):
                    continue
                done = extract(scratch, num_pictures, [processes])
                runs.append(where | _facts(done))
                if processes == PROCESSES[-1] and not round_number:
                    runs[-1]["index"] = lookups.measure(done.output, num_pictures)
                record.write(NAME, out, command=command, settings=settings(list(ROUNDS)), runs=runs)
    return out / f"{NAME}.json"


def _facts(done: Extraction) -> dict[str, Any]:
    facts = done.facts
    return {
        "seconds": round(facts.seconds, 2),
        "extracted_s": round(facts.extracted_s, 2),
        "first_rows_s": next((s["s"] for s in facts.samples if s["rows"]), facts.seconds),
        "peak_rss_mib": facts.peak_rss,
        "peak_pss_mib": round(facts.peak_pss, 1),
        "bytes": done.verified.bytes,
        "sha256": done.verified.sha256,
    }
