"""The commands by name: the module that each is in, imported when it is used, and its summary."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from vggfeat.interruption import signals_end_at_once

# Name: module, and the first sentence of its help, which `vggfeat --help` prints without it.
SUMMARIES = {
    "bench": (
        "bench",
        "Measure nets on benchmarks: extract what is missing, fit, score, tabulate.",
    ),
    "bench-speed": (
        "bench_speed",
        "Measure speed beside peers and the machine's limits, in interleaved rounds.",
    ),
    "compare": (
        "compare",
        "Which is better? Records compared on the same test pictures, from their stored scores.",
    ),
    "datasets": ("datasets", "The datasets of the benchmarks."),
    "demo": ("demo", "Run everything in miniature: no download, no GPU, about a minute."),
    "doctor": (
        "weights",
        "Say what this machine has, or what was understood of a net and its weights.",
    ),
    "evaluate": ("evaluate", "Top-1 and top-5 error of nets: the paper's Tables 3 to 7."),
    "extract": (
        "extract",
        "Store the descriptors of every picture of a dataset, or of pictures of your own.",
    ),
    "inspect": (
        "datasets",
        "Say what is in a feature file, and whether its numbers are sound; or show a card.",
    ),
    "localise": (
        "localise",
        "Localise objects by bounding-box regression: the paper's Tables 8 to 10.",
    ),
    "predict": (
        "predict",
        "Say which classes pictures are of, by a probe that `bench --save-probe` wrote.",
    ),
    "pretrain": ("pretrain", "Train nets by the paper's recipes, and what they start from."),
    "table": ("table", "Print the records of a results folder beside the published numbers."),
    "verify": (
        "verify",
        "See that files are as they were written: by their checksums, or the digest seen first.",
    ),
    "weights": ("weights", "Weights that are known by name, and files of weights in and out."),
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


def summaries() -> click.Group:
    """A group of all commands that has their summaries and nothing else, for `vggfeat --help`."""
    stand_ins = [click.Command(name, help=summary) for name, (_, summary) in SUMMARIES.items()]
    return click.Group(commands=stand_ins)
