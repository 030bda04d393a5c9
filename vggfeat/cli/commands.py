"""The commands by name: the module that each is in, imported when it is used, and its summary."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from vggfeat.interruption import signals_end_at_once

# Name: module, and the first sentence of its help, which `vggfeat --help` prints without it.
SUMMARIES = {
    "bench": (
        "bench",
        "Measure nets on benchmarks, beside the published numbers.",
    ),
    "bench-speed": (
        "bench_speed",
        "Measure speed beside peers and the machine's limits.",
    ),
    "completion": ("completion", "Print what makes bash, zsh or fish complete vggfeat."),
    "cache": ("cache", "What lies in the cache folder: features, weights, unpacked archives."),
    "compare": (
        "compare",
        "Which is better? Records compared on the same test pictures.",
    ),
    "datasets": ("datasets", "The datasets of the benchmarks."),
    "demo": ("demo", "Run everything in miniature: no download, no GPU, about a minute."),
    "doctor": (
        "doctor",
        "Say what this machine has, with advice; or what a net is.",
    ),
    "evaluate": ("evaluate", "Top-1 and top-5 error of nets: the paper's Tables 3 to 7."),
    "extract": (
        "extract",
        "Store the descriptors of a dataset's pictures, or of your own.",
    ),
    "inspect": (
        "inspect",
        "Say what is in a feature file and if it is sound; or show a card.",
    ),
    "localise": (
        "localise",
        "Localise objects by regressing boxes: the paper's Tables 8 to 10.",
    ),
    "ls": (
        "ls",
        "What there is to choose from: nets, layers, benchmarks, probes, numbers.",
    ),
    "plan": ("plan", "Say what extracting pictures takes: hours, disk, bottleneck and cost."),
    "predict": (
        "predict",
        "Say which classes pictures are of, by a saved probe.",
    ),
    "pretrain": ("pretrain", "Train nets by the paper's recipes, and what they start from."),
    "report": ("report", "Write one HTML file of records, to look at, send and print."),
    "table": ("table", "Print records beside the published numbers."),
    "verify": (
        "verify",
        "See that files are as they were written, by their checksums.",
    ),
    "weights": ("weights", "Weights known by name, and files of weights in and out."),
}

# The headings of `vggfeat --help`, and the commands below each.
GROUPS = {
    "Try it": "demo",
    "Measure": "bench evaluate localise extract predict plan",
    "Look and compare": "table compare report",
    "Train": "pretrain",
    "Nets and data": "ls weights datasets inspect verify",
    "This machine": "doctor cache bench-speed completion",
}


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name, each of which comes with its module when it is looked up."""

    def __init__(self) -> None:
        self._imported: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name in SUMMARIES and name not in self._imported:
            module, _ = SUMMARIES[name]
            with signals_end_at_once():
                import_module(f"vggfeat.cli.{module}")
        return self._imported[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        del self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in SUMMARIES or name in self._imported

    def __iter__(self) -> Iterator[str]:
        return iter({**SUMMARIES, **self._imported})

    def __len__(self) -> int:
        return len({**SUMMARIES, **self._imported})


def grouped_summaries() -> dict[str, list[tuple[str, str]]]:
    """Group -> the name and the summary of each command in it, for `vggfeat --help`."""
    names = {group: [n for n in text.split() if n in SUMMARIES] for group, text in GROUPS.items()}
    others = [name for name in SUMMARIES if name not in sum(names.values(), [])]
    return {
        group: [(name, SUMMARIES[name][1]) for name in members]
        for group, members in (names | {"Others": others}).items()
        if members
    }
