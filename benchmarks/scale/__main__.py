"""`python -m vggfeat.benchmarks.scale`: runs at scale, each in a record with its plot.

Takes 2 GB of disk for the pictures, and is called again to go on where it was interrupted.
"""

import argparse
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from vggfeat.benchmarks.scale import growth, many_rows, plots
from vggfeat.errors import VggfeatError

MEASUREMENTS = {many_rows.NAME: many_rows.measure, growth.NAME: growth.measure}


def main() -> int:
    """Measure what is asked for and has no record yet; 1 if rows are wrong or a run failed."""
    parser = argparse.ArgumentParser(
        prog="python -m vggfeat.benchmarks.scale", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--out", type=Path, default=Path("results/scale"))
    parser.add_argument("--scratch", type=Path, help="a folder for pictures and shards, kept")
    given = parser.parse_args()
    if unknown := set(given.names) - set(MEASUREMENTS):
        parser.error(f"{sorted(unknown)[0]}: not one of {', '.join(MEASUREMENTS)}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    command = " ".join(["python -m vggfeat.benchmarks.scale", *sys.argv[1:]])
    with TemporaryDirectory(prefix="vggfeat-scale-") as temporary:
        scratch = given.scratch or Path(temporary)
        try:
            for name in given.names or MEASUREMENTS:
                logging.info("%s", MEASUREMENTS[name](given.out, scratch, command))
        except VggfeatError as error:
            logging.error("Error: %s", error)
            return 1
    for path in plots.write(given.out):
        logging.info("%s", path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
