"""What the sections of a report share: results, names of nets, ids of the page, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vggfeat.benchmarks.report.picture_files import Pictures, pictures_of
from vggfeat.benchmarks.report.ranking import BenchmarkResults, by_benchmark
from vggfeat.records.record import Record
from vggfeat.report.figures.figure import Figure
from vggfeat.report.page.blocks import Anchors, Inline, Link
from vggfeat.report.results import Result, Results


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Everything that sections are made of."""

    results: Results
    sections: frozenset[str]  # names of those that are shown
    data_dir: Path | None = None  # where the pictures of benchmarks are
    own_pictures: Sequence[Path | str] = ()  # folders and lists of the user's
    anchors: Anchors = field(default_factory=Anchors)
    figures: list[Figure] = field(default_factory=list)  # those that sections have drawn so far

    @cached_property
    def transfer(self) -> tuple[BenchmarkResults, ...]:
        """Results of `bench` by benchmark."""
        return by_benchmark(self.results.transfer)

    @cached_property
    def ilsvrc(self) -> tuple[BenchmarkResults, ...]:
        """Results of `evaluate` and `localise evaluate` by benchmark."""
        return by_benchmark(self.results.ilsvrc)

    @cached_property
    def all_results(self) -> tuple[Result, ...]:
        """All results with a record, in the order of the page."""
        return tuple(r for b in (*self.transfer, *self.ilsvrc) for r in b.results)

    @cached_property
    def net_names(self) -> dict[str, str]:
        """Nets with their weights -> what the page calls them."""
        return names_of([result.record for result in self.all_results])

    def net(self, result: Result) -> str:
        """The net as the page calls it: without weights where it has them everywhere."""
        return self.net_names[result.record.method]

    def setting(self, result: Result) -> str:
        """What of the label is not the net: probe, scales and whatever else differs."""
        for name in (result.record.method, result.record.net):
            if result.label.startswith(name):
                return result.label.removeprefix(name).removeprefix(", ")
        return result.label

    @cached_property
    def _record_ids(self) -> dict[int, str]:
        return {id(r): self.anchors.new(f"record {r.record.key}") for r in self.all_results}

    @cached_property
    def _benchmark_ids(self) -> dict[int, str]:
        return {
            id(b): self.anchors.new(b.title or b.benchmark) for b in (*self.transfer, *self.ilsvrc)
        }

    def record_id(self, result: Result) -> str:
        """The id of the place that says how a result was measured."""
        return self._record_ids[id(result)]

    def record_links(self, places: dict[tuple[int, int], Result]) -> dict[tuple[int, int], str]:
        """Links of cells to how their numbers were measured; none where that is not shown."""
        if "records" not in self.sections:
            return {}
        return {place: self.record_id(result) for place, result in places.items()}

    def pictures(self, benchmark: str) -> Pictures | str:
        """The files of a benchmark's pictures, or why they are not at hand."""
        return pictures_of(benchmark, self.data_dir, self.own_pictures)

    def benchmark_id(self, benchmark: BenchmarkResults) -> str:
        """The id of a benchmark's heading."""
        return self._benchmark_ids[id(benchmark)]

    def record_link(self, result: Result, text: str) -> Inline:
        """The text, as a link to how the result was measured where that is shown."""
        return Link(text, self.record_id(result)) if "records" in self.sections else text


def names_of(records: Sequence[Record]) -> dict[str, str]:
    """Nets by what records call them -> the user's name of them, else the nets without weights.

    Weights are named where the same net has others, too.
    """
    methods: dict[str, set[str]] = {}
    for record in records:
        methods.setdefault(record.net, set()).add(record.method)
    return {
        r.method: r.name or (r.net if len(methods[r.net]) == 1 else _short(r.method))
        for r in records
    }


def _short(method: str) -> str:
    """Names of files of weights without the suffix that most have."""
    return method.replace(".safetensors", "")
