"""The report: its sections by name, and the page that they make."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from vggfeat.benchmarks.report.benchmark import benchmark_section
from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.on_ilsvrc import ilsvrc_section
from vggfeat.benchmarks.report.overview import comparison_section
from vggfeat.benchmarks.report.protocols import records_section
from vggfeat.benchmarks.report.timing import time_section
from vggfeat.benchmarks.report.trained import training_section
from vggfeat.errors import RecordError, UnknownNameError
from vggfeat.report.page.blocks import Page, Section
from vggfeat.report.results import Results

# In the order of the page; the second to the fifth are parts of the sections of benchmarks.
SECTIONS = (
    "comparison", "classes", "settings", "pairs", "pictures", "ilsvrc", "training", "time",
    "records",
)  # fmt: skip


def report(
    results: Results,
    *,
    title: str = "",
    only: Collection[str] = (),
    data_dir: Path | None = None,
    own_pictures: Sequence[Path | str] = (),
) -> Page:
    """The page of these results; only are the sections to show, by default all.

    data_dir has the pictures of benchmarks, own_pictures are the user's folders and lists. Raises
    UnknownNameError at a name that is not one of SECTIONS or at own pictures that are not there,
    and RecordError where nothing is left.
    """
    from vggfeat.benchmarks.datasets.registry import names_of

    for name in only:
        if name not in SECTIONS:
            raise UnknownNameError("section", name, SECTIONS, listed=SECTIONS)
    names_of(own_pictures)
    material = Material(
        results=results,
        sections=frozenset(only or SECTIONS),
        data_dir=data_dir,
        own_pictures=own_pictures,
    )
    sections = tuple(section for section in _sections(material) if section)
    if not sections:
        raise RecordError(
            f"There is nothing to show in {', '.join(only)} of these records. Records of training"
            " come with --runs."
        )
    return Page(
        title=title or _title(material),
        about=_about(results),
        time=_latest(results),
        sections=sections,
        figures=tuple(material.figures),
    )


def _sections(material: Material) -> Iterator[Section | None]:
    if "comparison" in material.sections:
        yield comparison_section(material)
    for benchmark in material.transfer:
        yield benchmark_section(material, benchmark)
    for name, made in OTHERS.items():
        if name in material.sections:
            yield made(material)


OTHERS: dict[str, Callable[[Material], Section | None]] = {
    "ilsvrc": ilsvrc_section,
    "training": training_section,
    "time": time_section,
    "records": records_section,
}


def _title(material: Material) -> str:
    titles = dict.fromkeys(b.title for b in (*material.transfer, *material.ilsvrc))
    return f"Frozen features on {', '.join(titles)}" if titles else "Training of nets"


def _about(results: Results) -> str:
    counts = {
        "on transfer benchmarks": len(results.transfer),
        "on ILSVRC's protocols": len(results.ilsvrc),
        "of training": len(results.training),
    }
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    return f"Records: {', '.join(parts)}."


def _latest(results: Results) -> str:
    times = [result.record.time for result in (*results.transfer, *results.ilsvrc)]
    times += [str(record.get("time", "")) for record in results.training]
    return max(times, default="")
