"""What there is to choose from, as values: nets, layers, benchmarks, probes, published numbers."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from vggfeat.errors import UnknownNameError
from vggfeat.probes import registry as probes
from vggfeat.report.published import PublishedRow, read_published
from vggfeat.storage.folders import Folders

if TYPE_CHECKING:
    from vggfeat.benchmarks.datasets.definition import DatasetDefinition, DataSource

# torch and torchvision take 2 s to import each: they are imported where they are needed.

Line = dict[str, Any]

# Of a dataset: what is there of it, and where the rest comes from.
HERE, IN_PART, TO_FETCH, BY_HAND, MADE_HERE = "here", "in part", "to fetch", "by hand", "made here"
STATES = (HERE, IN_PART, TO_FETCH, BY_HAND, MADE_HERE)


def nets(text: str = "") -> list[Line]:
    """Every net by name whose name holds the text: library, family and name.

    Those of timm only where it is installed. Raises UnknownNameError if there is none.
    """
    from vggfeat.vgg import CONFIGURATIONS
    from vggfeat.weights.torchvision import NAMES

    names = [("paper", name) for name in CONFIGURATIONS]
    names += [("torchvision", name) for name in sorted(NAMES, key=_numerically)]
    if find_spec("timm"):
        import timm

        names += [("timm", f"timm/{name}") for name in timm.list_models()]
    found = [(library, name) for library, name in names if text.lower() in name.lower()]
    if not found:
        raise UnknownNameError("net", text, (name for _, name in names), listed=())
    return [{"library": kind, "family": _family(name), "net": name} for kind, name in found]


def _numerically(name: str) -> list[Any]:
    """resnet50 before resnet101."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _family(name: str) -> str:
    return re.match(r"(?:timm/)?([A-Za-z]+)", name)[1]


def layers(net: str) -> list[Line]:
    """The layers of a net in their order: name, shape for a picture, and which is the default.

    Weights are not looked at, and not fetched. Raises VggfeatError as `--net` does.
    """
    from vggfeat.backbones.exported.backbone import exported_backbone
    from vggfeat.backbones.load import backbone_of
    from vggfeat.backbones.spec import EXPORTED_SUFFIXES, NetSpec

    spec = NetSpec.parse(net)
    if spec.is_file and spec.weights.lower().endswith(EXPORTED_SUFFIXES):
        backbone = exported_backbone(spec)
    elif spec.is_file:
        from vggfeat.backbones.load import load_network

        backbone = load_network(spec).backbone
    else:
        backbone = backbone_of(spec)
    return [
        {
            "layer": name,
            "shape": " x ".join(map(str, shape[1:])),
            "of a picture of": f"{backbone.input_size} x {backbone.input_size}",
            "default": "default" if name == backbone.layer_name else "",
        }
        for name, shape in backbone.layer_shapes().items()
    ]


def benchmarks(places: Folders) -> list[Line]:
    """Every benchmark: what it is, its headline metric, the best published number, its data."""
    lines = []
    for definition, state, data in _in_groups(places):
        metric = definition.protocol.metric
        best = _best(definition.name, metric)
        lines.append(
            {
                "benchmark": definition.name,
                "group": definition.group,
                "pictures": definition.num_pictures,
                "metric": metric,
                "best published (%)": best.value if best else None,
                "by": _who(best) if best else None,
                "task": definition.about,
                "state": state,
                "data": MADE_HERE if state == MADE_HERE else data or None,
            }
        )
    return lines


def datasets(places: Folders) -> list[Line]:
    """The dataset of every benchmark: its size, its terms, and whether it is there."""
    return [
        {
            "benchmark": definition.name,
            "group": definition.group,
            "pictures": definition.num_pictures,
            "bytes on disk": definition.disk_bytes,
            "bytes to fetch": definition.download_bytes,
            "state": state,
            "licence or terms": definition.licence or None,
            "by hand": getattr(definition.source, "by_hand", "") or None,
            "data": data or None,
        }
        for definition, state, data in _in_groups(places)
    ]


def _in_groups(places: Folders) -> Iterator[tuple["DatasetDefinition", str, str]]:
    """Definitions by group, each with the state of its data, one of STATES, and where that is."""
    from vggfeat.benchmarks.datasets.definition import GROUPS
    from vggfeat.benchmarks.datasets.registry import DATASETS

    known: dict[str, tuple[str, str]] = {}  # by source, as several benchmarks may have one
    for definition in sorted(DATASETS, key=lambda d: GROUPS.index(d.group)):
        source = definition.source
        if source.name not in known:
            known[source.name] = _state(source, places)
        yield definition, *known[source.name]


def _state(source: "DataSource", places: Folders) -> tuple[str, str]:
    from vggfeat.benchmarks.datasets.definition import Fetchable
    from vggfeat.benchmarks.sources.generated import Generated

    if isinstance(source, Generated):
        return MADE_HERE, ""
    located = source.locate(places)
    where = ", ".join(map(str, located)) if isinstance(located, list) else str(located or "")
    if not isinstance(source, Fetchable) or source.is_here(places):
        return HERE if located else BY_HAND, where
    if located:
        return IN_PART, where
    return TO_FETCH if source.is_served else BY_HAND, where


def _best(benchmark: str, metric: str) -> PublishedRow | None:
    """The best number of the paper's tables for a benchmark; of later papers where it has none."""
    rows = [r for r in read_published() if (r.benchmark, r.metric) == (benchmark, metric)]
    of_paper = [row for row in rows if row.kind != "later"]
    return max(of_paper or rows, key=lambda row: row.value, default=None)


def _who(row: PublishedRow) -> str:
    return row.network or row.method


def suites() -> list[Line]:
    """Every suite: its benchmarks, what its authors average, what is missing, and its source."""
    from vggfeat.benchmarks.suites import SUITES

    return [
        {
            "suite": suite.name,
            "benchmarks": " ".join(suite.benchmarks),
            "average": suite.average.name if suite.average else None,
            "not measured": ", ".join(suite.missing) or None,
            "source": suite.citation,
            "differs": " ".join(suite.differs) or None,
        }
        for suite in SUITES
    ]


def probe_lines() -> list[Line]:
    """Every probe and what it is."""
    return [{"probe": name, "what it is": probes.ABOUT[name]} for name in probes.PROBES]


def published(benchmark: str | None = None, net: str | None = None) -> Iterator[Line]:
    """The rows of published.csv, those of one benchmark or net if these are named.

    A net is part of several that were used together. Raises UnknownNameError.
    """
    rows = read_published()
    of_nets = {part for row in rows for part in row.network.split("+") if part}
    for kind, name, known in (
        ("benchmark with published numbers", benchmark, {row.benchmark for row in rows}),
        ("net with published numbers", net, of_nets),
    ):
        if name is not None and name not in known:
            raise UnknownNameError(kind, name, known)
    for row in rows:
        if benchmark in (None, row.benchmark) and (net is None or net in row.network.split("+")):
            yield asdict(row)
