"""The report: its sections by name, and the page that they make."""

from collections.abc import Callable, Collection

from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.overview import comparison_section
from vggfeat.benchmarks.report.protocols import records_section
from vggfeat.errors import UnknownNameError
from vggfeat.report.page.blocks import Page, Section
from vggfeat.report.results import Results

# In the order of the page; several may be parts of the sections of benchmarks.
SECTIONS = ("comparison", "records")
OF_THE_PAGE: dict[str, Callable[[Material], Section | None]] = {
    "comparison": comparison_section,
    "records": records_section,
}


def report(results: Results, *, title: str = "", only: Collection[str] = ()) -> Page:
    """The page of these results; only are the sections to show, by default all.

    Raises UnknownNameError at a name that is not one of SECTIONS.
    """
    for name in only:
        if name not in SECTIONS:
            raise UnknownNameError("section", name, SECTIONS)
    shown = frozenset(only or SECTIONS)
    material = Material(results=results, sections=shown)
    made = (OF_THE_PAGE[name](material) for name in OF_THE_PAGE if name in shown)
    return Page(
        title=title or _title(material),
        about=_about(results),
        time=_latest(results),
        sections=tuple(section for section in made if section),
    )


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
