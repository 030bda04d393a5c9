"""Training: the stages beside the paper's, their curves, recipes and commands."""

from collections.abc import Mapping
from typing import Any

from vggfeat.benchmarks.report.drawings import drawings
from vggfeat.benchmarks.report.material import Material
from vggfeat.report.page.blocks import Command, Facts, Folded, Section, TableBlock, says
from vggfeat.report.results import Results
from vggfeat.report.settings import stated
from vggfeat.report.training import table


def training_section(material: Material) -> Section | None:
    """The records of training; None where there are none."""
    records = material.results.training
    if not records:
        return None
    stages = table(records)
    begins_with = [row[stages.columns.index("begins with")].text for row in stages.rows]
    return Section(
        id=material.anchors.new("training"),
        title="Training",
        blocks=(
            TableBlock(table=stages, id=material.anchors.new("stages"), label="Stages of training"),
            *drawings(material, Results(training=records), "training"),
            *(
                (says("How each net was trained:"), *map(_recipe, records, begins_with))
                if "records" in material.sections
                else ()
            ),
        ),
    )


def _recipe(record: Mapping[str, Any], begins_with: str) -> Folded:
    recipe = ((name.replace("_", " "), _text(value)) for name, value in record["recipe"].items())
    others = (
        (name, _text(record[name]))
        for name in ("ended", "updates", "seconds", "precision", "hardware", "versions", "time")
        if name in record
    )
    command = record.get("command")
    return Folded(
        summary=f"{record['stage']}, begun with {begins_with}",
        blocks=(Facts((*recipe, *others)), *((Command(str(command)),) if command else ())),
        is_for_paper=False,
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return "none" if value is None else stated(value)
