"""What `vggfeat bench` does, from Python: `bench`, and the records that it returns as a table.

results = vggfeat.bench("caltech101", ["vgg16", "vgg19", "vgg16+vgg19"], scales=(256, 384))
results.to_frame()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from vggfeat.backbones.given_names import check_name
from vggfeat.backbones.load import NetName
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import NetSpec, parse_fusion
from vggfeat.benchmarks import bench as benching
from vggfeat.benchmarks.bench import Job
from vggfeat.benchmarks.datasets.registry import definition_of
from vggfeat.benchmarks.runner import Failure
from vggfeat.errors import OptionError, UnknownNameError, VggfeatError
from vggfeat.features.options import as_scales
from vggfeat.layouts.options import DataOptions
from vggfeat.memory import as_bytes
from vggfeat.options import declarations
from vggfeat.probes.registry import DEFAULT_PROBE
from vggfeat.progress import Progress, no_progress
from vggfeat.records.record import Record
from vggfeat.report import shots as shots_tables
from vggfeat.report import sweep as sweep_tables
from vggfeat.report import transfer
from vggfeat.report.frame import frame_of
from vggfeat.report.published import PublishedRow, read_published
from vggfeat.report.render import render
from vggfeat.report.table import Table
from vggfeat.storage.folders import folders

if TYPE_CHECKING:
    import pandas as pd

# Nets to measure: one, several, or several by the names that tables show.
Nets = (
    NetName
    | Sequence[NetName | tuple[NetName, ...]]
    | Mapping[str, NetName]
    | Mapping[str, NetName | tuple[NetName, ...]]
)
Loadable = tuple[NetSpec | Network, ...]  # nets that are used together


class BenchOptions(TypedDict, total=False):
    """The further options of `bench`, as the command line names and explains them."""

    mirror: bool
    exif: bool
    scaled_jpeg: bool
    on_error: str
    device: str
    precision: str
    dtype: str
    batch_size: int | None
    aggregate: str
    scale_l2: bool
    solver: str
    background: bool
    limit: int | None
    box_margin: float
    difficult: str
    num_splits: int
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BenchResults:
    """The records that `bench` made or found. It shows itself as the table of the command line."""

    records: tuple[Record, ...]
    out: Path  # the folder that they lie in
    published: tuple[PublishedRow, ...]  # of benchmarks that published.csv does not have
    layout: str = "transfer"  # or "sweep", "shots": what the table has columns for

    def table(self) -> Table:
        """A row for each net beside the published rows, a column for each benchmark, in %."""
        return transfer.table(transfer.compare(self.records, (*read_published(), *self.published)))

    def to_frame(self, *, intervals: bool = False) -> pd.DataFrame:
        """A row for each record and metric, as `read_results` gives them."""
        return frame_of(self.records, self.out, self.published, intervals=intervals)

    def _tables(self) -> list[Table]:
        module = {"sweep": sweep_tables, "shots": shots_tables}.get(self.layout)
        return [*module.tables(self.records)] if module else [self.table()]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return render(self._tables(), "table")

    def _repr_html_(self) -> str:
        return render(self._tables(), "html")


def bench(
    benchmarks: str | Path | Sequence[str | Path],
    nets: Nets,
    *,
    probes: str | Sequence[str] = DEFAULT_PROBE,
    scales: int | Sequence[int] | None = None,
    shots: int | Sequence[int | None] | None = None,
    sweep: str | Sequence[str] = (),
    save_probes: bool = False,
    memory: int | str | None = None,
    out: str | Path = "results",
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    progress: Progress = no_progress,
    **options: Unpack[BenchOptions],
) -> BenchResults:
    """Measure nets on benchmarks: extract what is missing, fit, score, write records to `out`.

    benchmarks are names (`vggfeat datasets ls`), folders of class folders or CSV lists of pictures.
    nets are what `load_network` takes, one or several; "vgg16+vgg19" or a tuple are nets used
    together; {"name": net} has the names that tables show, as `--net NAME=SPEC`. scales are
    shortest sides in pixels. shots measures with so many training pictures a class, None with all.
    sweep names the options of which every combination is measured. What is not given is as each
    benchmark publishes it. memory is what the process may take, in bytes or as "8G": probes that
    need more stream vectors from disk. Records that lie in `out` are not made again, also those of
    the command line. progress is called with (label, number done, number in all): `print` will do.

    Raises VggfeatError at what is mistyped or cannot be had; if only some measurements fail, once
    all others are made and written.
    """
    _check_names(options)
    names = [benchmarks] if isinstance(benchmarks, str | Path) else list(benchmarks)
    axes = [sweep] if isinstance(sweep, str) else list(sweep)
    fusions, given_names = _named_nets(nets, axes)
    counts = [shots] if isinstance(shots, int | None) else list(shots)
    of_data = {name: options[name] for name in declarations(DataOptions).keys() & options}
    settings: dict[str, Any] = {k: v for k, v in options.items() if k not in of_data}
    stated = {"probes": probes, "scales": scales, "shots": shots, "sweep": sweep}
    stated |= {"memory": memory} | options
    job = Job(
        benchmarks=names,
        nets=fusions,
        names=given_names,
        folders=folders(data_dir, cache_dir),
        data=DataOptions(**of_data),
        offline=offline,
        settings=settings | {"scales": None if scales is None else as_scales(scales)},
        probes=[probes] if isinstance(probes, str) else list(probes),
        shots=counts,
        sweep=axes,
        saves_probes=save_probes,
        memory=as_bytes(memory),
        command=_call(names, nets, stated),
    )
    return BenchResults(
        records=_measured(benching.bench(job, Path(out), progress), Path(out)),
        out=Path(out),
        published=tuple(row for name in names for row in definition_of(name).published),
        layout="shots" if any(counts) else "sweep" if axes else "transfer",
    )


def _check_names(options: BenchOptions) -> None:
    for name in options:
        if name not in BenchOptions.__annotations__:
            known = [*signature(bench).parameters, *BenchOptions.__annotations__]
            raise UnknownNameError("argument of bench", name, {*known} - {"options"})


def _named_nets(nets: Nets, axes: Sequence[str]) -> tuple[list[Loadable], dict[Loadable, str]]:
    """The nets that are used together, and the names that some have for tables."""
    if isinstance(nets, Mapping):
        pairs = [*nets.items()]
    else:
        pairs = [("", net) for net in ([nets] if isinstance(nets, NetName) else nets)]
    if not pairs:
        raise OptionError("bench takes nets=, such as 'vgg16'; got none.")
    fusions, names = [], {}
    for name, net in pairs:
        fusion = sum(map(_specs, net), ()) if isinstance(net, tuple) else _specs(net)
        if "relu" in axes and any(isinstance(part, Network) for part in fusion):
            raise OptionError("sweep='relu' makes other nets: name them by text, not as a Network.")
        fusions.append(fusion)
        if not name:
            continue
        check_name(name, f"nets={name!r}")
        if names.setdefault(fusion, name) != name:
            raise OptionError(f"{name!r} and {names[fusion]!r} are the same net. Leave one out.")
    return fusions, names


def _specs(net: NetName) -> Loadable:
    return (net,) if isinstance(net, NetSpec | Network) else parse_fusion(str(net))


def _call(names: Sequence[str | Path], nets: Nets, stated: dict[str, Any]) -> str:
    """The call, for the record."""
    if isinstance(nets, Mapping):
        told: Any = {name: _text(net) for name, net in nets.items()}
    else:
        told = [_text(net) for net in ([nets] if isinstance(nets, NetName) else nets)]
    given = {k: v for k, v in stated.items() if v not in (None, (), DEFAULT_PROBE)}
    more = "".join(f", {name}={value!r}" for name, value in given.items())
    return f"vggfeat.bench({[*map(str, names)]}, {told}{more})"


def _text(net: NetName | tuple[NetName, ...]) -> str:
    parts = net if isinstance(net, tuple) else (net,)
    return "+".join(part.label if isinstance(part, Network) else str(part) for part in parts)


def _measured(outcomes: Iterable[Record | Failure], out: Path) -> tuple[Record, ...]:
    """The records. Raises VggfeatError where something failed, once all are made."""
    records: list[Record] = []
    failures: list[Failure] = []
    for outcome in outcomes:
        (failures if isinstance(outcome, Failure) else records).append(outcome)
    if len(failures) == 1 and not records:
        raise VggfeatError(failures[0].reason)
    if failures:
        reasons = "; ".join(f"{failure.label}: {failure.reason}" for failure in failures)
        raise VggfeatError(
            f"{len(failures)} failed, {len(records)} measured, which are kept in {out}: {reasons}"
        )
    return tuple(records)
