"""A folder of records -> a pandas DataFrame, for those who make tables and figures of their own."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from vggfeat.records.record import Record, read_all
from vggfeat.report.published import PublishedRow
from vggfeat.report.tidy import rows

if TYPE_CHECKING:
    import pandas as pd


def read_results(
    folder: Path | str, published: Sequence[PublishedRow] = (), *, intervals: bool = False
) -> pd.DataFrame:
    """The records of a results folder as a DataFrame: a row for each record and metric.

    `value`, `spread`, `published` and `difference` (measured minus published) are percentages, NaN
    where there is none. `comparison` is "same", "near", "not comparable" or empty. Settings are
    text, empty where they do not apply; `vggfeat.report.tidy.COLUMNS` says what each column holds.
    published are rows of benchmarks that published.csv does not have. intervals adds `low` and
    `high`, the ends of 95 % intervals over test pictures from the scores beside the records, NaN
    where there are none. Raises RecordError if a record cannot be read.
    """
    folder = Path(folder)
    return frame_of(read_all(folder), folder, published, intervals=intervals)


def frame_of(
    records: Sequence[Record],
    folder: Path,
    published: Sequence[PublishedRow],
    *,
    intervals: bool = False,
) -> pd.DataFrame:
    """The rows of these records of a folder, as `read_results` has them."""
    import pandas as pd  # takes as long to import as all else of this library

    if intervals:
        from vggfeat.records.resampling import all_with_intervals

        records = all_with_intervals(records, folder)
    numbers = ("value", "spread", "published", "difference", *(("low", "high") * intervals))
    lines = [
        row
        | {name: nan for name in numbers if row.get(name) is None}
        | {"path": str(folder / row["record"])}
        for row in rows(records, published)
    ]
    return pd.DataFrame(lines)
