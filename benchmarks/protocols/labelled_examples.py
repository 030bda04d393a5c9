"""Examples with labels and no pictures -> a benchmark: the user's split, or random ones."""

from pathlib import Path

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.protocols.own_examples import benchmark_fields, plan_of, usable
from vggfeat.layouts.label_table import LabelTable
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.own_pictures import LabelledPictures, alike

NO_SCALE = (1,)  # of vectors that are there already; records do not state it


def labelled_benchmark(name: str, title: str, table: LabelTable, options: DataOptions) -> Benchmark:
    """The benchmark of the examples that a table has, in the order of their ids.

    Classes that cannot be trained and tested are left out, and noted. Raises DatasetError where
    fewer than two are left, or nothing is there to train on.
    """
    examples = LabelledPictures(
        root=Path(),
        labels=dict(sorted(zip(table.ids, table.labels, strict=True))),
        parts=table.parts and dict(zip(table.ids, table.parts, strict=True)),
        is_multi_label=table.is_multi_label,
    )
    plan = plan_of(examples, "example")
    examples, left_out = usable(examples, plan, "example")
    return Benchmark(
        name=name,
        title=title,
        pictures={i: Path(i) for i in examples.labels},
        sets={"all": np.arange(len(examples.labels))},
        scales=NO_SCALE,
        aggregate="average",
        notes=(*alike(examples.classes), *left_out),
        # Nothing is known of files; equal vectors are reported as leaks.
        **benchmark_fields(examples, plan, options, copies={}),
    )
