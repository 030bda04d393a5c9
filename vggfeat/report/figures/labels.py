"""What lines and bars of a figure are called: the net, and what else differs among those shown."""

import re
from collections.abc import Collection, Sequence

from vggfeat.records.record import Record
from vggfeat.report.settings import PROBE, later_options, settings_of

# Settings that follow from the splits, which results in one figure have in common.
OF_SPLITS = frozenset({"splits", "seed", "images", "background"})


def labels(records: Sequence[Record], *, left_out: Collection[str] = ()) -> list[str]:
    """A label for each record, without the settings that are left out.

    A net is named with its weights only where another record has it with others.
    """
    later = later_options(records)
    settings = [settings_of(record, later) for record in records]
    names = [
        name
        for name in settings[0]
        if name not in {*OF_SPLITS, *left_out} and len({of[name] for of in settings}) > 1
    ]
    if PROBE in names:
        names = [PROBE, *(name for name in names if name not in (PROBE, "solver"))]
    return [
        ", ".join([_net(record, records), *filter(None, (_words(n, of[n]) for n in names))])
        for record, of in zip(records, settings, strict=True)
    ]


def without_weights(methods: Sequence[str]) -> list[str]:
    """Methods such as "vgg16@FILE+vgg19@FILE" without weights, if that tells as many apart."""
    nets = [re.sub(r"@[^+,(]*", "", method).strip() for method in methods]
    return nets if len(set(nets)) == len(set(methods)) else list(methods)


def _net(record: Record, records: Sequence[Record]) -> str:
    methods = {other.method for other in records if other.net == record.net}
    return record.net if len(methods) == 1 else record.method


def _words(name: str, value: str) -> str:
    """A setting in words: "mirror", "no mirror", "scales 256 384", the name of a probe."""
    spoken = name.replace("_", " ").replace("l2", "L2")
    if value in ("yes", "no", ""):
        return {"yes": spoken, "no": f"no {spoken}", "": ""}[value]
    return value if name == PROBE else f"{spoken} {value}"
