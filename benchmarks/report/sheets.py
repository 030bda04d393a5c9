"""Sheets of pictures: of each class the best-ranked true ones and the worst mistakes, small."""

import base64
import io
from collections.abc import Iterator, Sequence

from vggfeat.benchmarks.report.material import Material
from vggfeat.benchmarks.report.picture_files import Pictures
from vggfeat.benchmarks.report.ranked_pictures import RankedClass, ranked_classes
from vggfeat.benchmarks.report.ranking import BenchmarkResults
from vggfeat.errors import PictureError
from vggfeat.images import decode
from vggfeat.records.scores import scores_path
from vggfeat.report.page.blocks import Group, Section, Sheet, Thumbnail, says
from vggfeat.report.settings import percent

SHOWN = 4  # pictures of a kind
SIDE, QUALITY = 84, 50  # of thumbnails, in pixels and as JPEG counts it
BUDGET = 700_000  # bytes of all pictures of a page, as base64


def sheets_section(material: Material, benchmark: BenchmarkResults) -> Section:
    """The sheets of the best result that has scores; or why there are none."""
    result = next((r for r in benchmark.main.results if scores_path(r.path).is_file()), None)
    lacking = ""
    if result is None:
        lacking = "No scores of the test pictures lie beside these records, so none can be ranked."
    else:
        pictures = material.pictures(benchmark.benchmark)
        lacking = pictures if isinstance(pictures, str) else ""
    anchor = material.anchors.new(f"{benchmark.title} pictures")
    title = "Best-ranked pictures and worst mistakes"
    if lacking:
        return Section(id=anchor, title=title, blocks=(says(lacking, role="lacking"),))
    classes = list(ranked_classes(result.record, result.scores(), SHOWN))
    budget = BUDGET // max(1, len(material.transfer))
    sheets = list(_within(budget, classes, pictures))
    return Section(
        id=anchor,
        title=title,
        blocks=(
            says(_about(result.label, classes, sheets, budget), role="note"),
            Group(tuple(sheets)),
        ),
    )


def _about(label: str, classes: Sequence, sheets: Sequence, budget: int) -> str:
    start = f"By {label}; classes with the lowest values first, highest scores at the left."
    left_out = len(classes) - len(sheets)
    if not left_out:
        return start
    return (
        f"{start} {left_out} of {len(classes)} classes are left out: the pictures of a benchmark"
        f" take at most {budget // 1000} kB of this page."
    )


def _within(budget: int, classes: Sequence[RankedClass], pictures: Pictures) -> Iterator[Sheet]:
    """Sheets of the first classes, as many as the budget has room for."""
    for ranked in classes:
        value = "" if ranked.value is None else f", {percent(ranked.value):.1f} %"
        rows = [
            ("True, ranked first", _thumbnails(ranked.true, pictures, ranked.name)),
            ("Wrong, ranked first", _thumbnails(ranked.mistakes, pictures, ranked.name)),
        ]
        budget -= sum(len(thumbnail.jpeg) for _, row in rows for thumbnail in row)
        if budget < 0:
            return
        yield Sheet(
            title=f"{ranked.name}{value}",
            rows=tuple(
                (name if row else f"{name.partition(',')[0]}: none", tuple(row))
                for name, row in rows
            ),
        )


def _thumbnails(
    ranked: Sequence[tuple[str, str]], pictures: Pictures, name: str
) -> list[Thumbnail]:
    made = []
    for number, (example, labels) in enumerate(ranked, start=1):
        if small := _small(pictures, example):
            content, size = small
            what = f"taken for {name}, really {labels}" if labels else name
            made.append(
                Thumbnail(
                    jpeg=base64.b64encode(content).decode(),
                    size=size,
                    alt=f"{number}: {what}",
                    caption=labels or example.rpartition("/")[2],
                )
            )
    return made


def _small(pictures: Pictures, example: str) -> tuple[bytes, tuple[int, int]] | None:
    """A picture as a small JPEG without metadata; None where it is not there any more."""
    if example not in pictures:
        return None
    try:
        picture = decode(pictures[example], scale=SIDE)
    except PictureError:
        return None
    picture.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=QUALITY, optimize=True)
    return content.getvalue(), picture.size
