"""datasets: what data is there, and whether it is sound."""

import csv
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.completers import complete_benchmarks, complete_datasets
from vggfeat.cli.dataset_list import dataset_lines
from vggfeat.cli.group import Commands, importing, main, set_up_messages
from vggfeat.cli.ls import listing_format, show_listing
from vggfeat.cli.options import data_dir, declared, offline, quiet
from vggfeat.cli.progress import ProgressDisplay
from vggfeat.cli.width import stdout_width
from vggfeat.errors import printable
from vggfeat.layouts.options import DataOptions
from vggfeat.plurals import counted, in_bytes, leaks_text
from vggfeat.storage.folders import Folders, folders

MAX_SHOWN = 10  # differences and leaks of a dataset
WIDTH = 80  # columns of what is said of own pictures
_cache_dir = click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that archives are unpacked into.",
)


@main.group(cls=Commands)
def datasets() -> None:
    """The datasets of the benchmarks.

    \b
    vggfeat datasets ls
    vggfeat datasets fetch caltech101
    vggfeat datasets verify path/to/folder
    """


@datasets.command("ls")
@data_dir
@listing_format
def ls(data_dir: Path | None, form: str) -> None:
    """List the datasets of the benchmarks: size, licence or terms, and whether they are there.

    \b
    vggfeat datasets ls --data-dir DATA
    """
    with importing():
        from vggfeat.benchmarks import listings

    places = folders(data_dir)
    lines = listings.datasets(places)
    if form != "table":
        show_listing(lines, form)
        return
    for text in dataset_lines(lines, places, stdout_width()):
        click.echo(text)


@datasets.command()
@click.argument("names", nargs=-1, metavar="[NAMES]...", shell_complete=complete_datasets)
@click.option("--all", "all_datasets", is_flag=True, help="Every dataset that can be fetched.")
@data_dir
@quiet
def fetch(names: Sequence[str], all_datasets: bool, data_dir: Path | None, quiet: bool) -> None:
    """Download datasets: verified, resumed where an earlier try was cut off.

    Of those that must be asked for, or that no server has any more, it says where to get them.

    \b
    vggfeat datasets fetch voc2007 caltech101
    """
    from vggfeat.benchmarks.datasets.registry import distribution_of, distributions
    from vggfeat.errors import VggfeatError

    if not names and not all_datasets:
        raise click.UsageError(f"Name a dataset ({', '.join(distributions())}) or give --all.")
    set_up_messages(quiet)
    places, failures = folders(data_dir), []
    wanted = [distribution_of(name) for name in dict.fromkeys(names)]
    wanted += _all_served(places) if all_datasets else []
    wanted = list({distribution.name: distribution for distribution in wanted}.values())
    with ProgressDisplay(quiet) as progress:
        for distribution in wanted:
            try:
                distribution.fetch(places, offline=False, progress=progress)
            except VggfeatError as error:
                failures.append((distribution, error))
                continue
            located = distribution.locate(places)
            where = ", ".join(map(str, located)) if isinstance(located, list) else located
            click.echo(f"{distribution.name}: {where}")
    for distribution, error in failures:
        click.echo(f"Failed: {distribution.name}: {error}", err=True)
    if failures:
        failed = f"{len(failures)} of {counted(len(wanted), 'dataset')} could not be fetched."
        again = " What came is kept; the same command goes on from there."
        may_come = any(distribution.missing(places) for distribution, _ in failures)
        raise click.ClickException(failed + (again if may_come else ""))


def _all_served(places: Folders) -> list[Any]:
    """What can be fetched; says how much that is, and what must be asked for by hand."""
    from vggfeat.benchmarks.datasets.registry import distributions

    served = []
    for source in distributions().values():
        if source.missing(places) or source.is_here(places):
            served.append(source)
        else:
            click.echo(
                f"{source.name}: left out, as it cannot be fetched. {source.by_hand}".strip()
            )
    lacking = [mirrors[0].size for source in served for mirrors in source.missing(places)]
    if lacking:
        size = in_bytes(sum(size or 0 for size in lacking))
        unknown = counted(sum(size is None for size in lacking), "file")
        more = f" and {unknown} of unknown size" if None in lacking else ""
        click.echo(f"to be fetched into {places.data}: {size}{more}", err=True)
    return served


@datasets.command()
@click.argument("names", nargs=-1, metavar="[NAMES]...", shell_complete=complete_benchmarks)
@data_dir
@_cache_dir
@quiet
def verify(
    names: Sequence[str], data_dir: Path | None, cache_dir: Path | None, quiet: bool
) -> None:
    """Compare what is there with the known counts, and look for test pictures that leak.

    Without names, every benchmark whose data is there; FILE.py:NAME names a dataset of your own. Of
    a folder of class folders, or a CSV list with the columns path and label: counts, splits, what
    is left out, copies, leaks, and broken pictures, for which each is decoded. Exit status 1 if
    something is wrong.

    \b
    vggfeat datasets verify caltech101
    vggfeat datasets verify path/to/folder
    vggfeat datasets verify torchvision:EMNIST:split=letters
    """
    with importing():
        from vggfeat.benchmarks.datasets.definition import Fetchable
        from vggfeat.benchmarks.datasets.registry import DATASETS, names_of

    set_up_messages(quiet)
    places = folders(data_dir, cache_dir)
    chosen = names_of(names)
    if not names:
        there = [d for d in DATASETS if isinstance(d.source, Fetchable) and d.source.locate(places)]
        chosen = [d.name for d in there if d.source.is_here(places)]
        if in_part := [d.name for d in there if d.name not in chosen]:
            click.echo(f"there in part, and left out unless they are named: {', '.join(in_part)}")
    if not chosen:
        raise click.ClickException(f"{places.data}: holds none of the datasets.")
    wrong = [name for name in chosen if not _is_sound(name, places, quiet)]
    if wrong and all(map(_is_own, wrong)):
        raise click.ClickException(
            f"to be put right: {', '.join(wrong)}, as is said above. Otherwise records will say it."
        )
    if wrong:
        raise click.ClickException(
            f"not as distributed, or leaking: {', '.join(wrong)}. Records say how many pictures"
            " they were measured on."
        )


def _is_own(name: str) -> bool:
    from vggfeat.benchmarks.datasets.own_pictures import is_own
    from vggfeat.benchmarks.datasets.registry import definition_of

    return is_own(definition_of(name))


def _is_sound(name: str, places: Folders, quiet: bool) -> bool:
    """Whether the dataset is as distributed and leaks nothing; prints what differs."""
    from vggfeat.benchmarks.datasets.registry import definition_of, load_benchmark
    from vggfeat.benchmarks.known_counts import counts, missing_pictures
    from vggfeat.errors import VggfeatError

    altered = definition_of(name).source.altered(places)
    for path in altered:
        click.echo(f"{name}: {path} is not the file as distributed")
    try:
        benchmark = load_benchmark(name, places=places, offline=True)
    except VggfeatError as error:
        click.echo(f"{name}: {error}")
        return False
    if benchmark.is_own:
        return _are_sound_pictures(benchmark, quiet)
    compared = counts(benchmark)
    different = [count for count in compared if count.actual != count.expected]
    if compared:
        known = len(compared) - len(different)
        click.echo(f"{name}: {known} of {counted(len(compared), 'count')} as known")
    else:
        click.echo(f"{name}: no counts are known to compare with")
    for count in different[:MAX_SHOWN]:
        what = f"{count.set}, {count.class_name}" if count.class_name else count.set
        click.echo(f"  {what}: {count.actual:,} found, {count.expected:,} known")
    if len(different) > MAX_SHOWN:
        click.echo(f"  and {len(different) - MAX_SHOWN} more")
    missing = missing_pictures(benchmark)
    for picture in missing[:MAX_SHOWN]:
        click.echo(f"  {picture} is named and not there")
    if len(missing) > MAX_SHOWN:
        click.echo(f"  and {len(missing) - MAX_SHOWN} more")
    leaks = benchmark.leaks
    nothing = "no test pictures are training pictures too"
    click.echo(f"  {leaks_text(len(leaks)) if leaks else nothing}")
    for leak in leaks[:MAX_SHOWN]:
        click.echo(f"  split {leak.split}: {leak.test} is {leak.train}")
    return not (altered or different or missing or leaks)


def _are_sound_pictures(benchmark: Any, quiet: bool) -> bool:
    """Whether nothing is wrong with pictures of the user's; prints what is to be known of them."""
    from vggfeat.benchmarks.own_check import findings

    is_sound = True
    click.echo(f"{benchmark.name}:")
    with ProgressDisplay(quiet) as progress:
        for finding in findings(benchmark, progress):
            is_sound &= not finding.is_wrong
            lines = textwrap.wrap(
                printable(finding.text, one_line=True),
                WIDTH,
                initial_indent="  wrong: " if finding.is_wrong else "  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            click.echo("\n".join(lines))
    return is_sound


@datasets.command()
@click.argument("name", shell_complete=complete_benchmarks)
@data_dir
@_cache_dir
@declared(DataOptions, "background", "limit", "num_splits", "seed", "shots")
@offline
@quiet
def splits(
    name: str,
    data_dir: Path | None,
    cache_dir: Path | None,
    offline: bool,
    quiet: bool,
    **options,
) -> None:
    """Write the splits of a benchmark, or of pictures of your own, as CSV, for others to use.

    The lines name split, part (train, validation, test), example and classes. Their digest, printed
    on stderr, is `splits_sha256` of the records.

    \b
    vggfeat datasets splits caltech101 > caltech101-splits.csv
    """
    with importing():
        from vggfeat.benchmarks.datasets.registry import load_benchmark, names_of
        from vggfeat.benchmarks.samples import split_table

    set_up_messages(quiet)
    names_of([name])  # so that a name is not taken for that of an earlier path
    benchmark = load_benchmark(
        name,
        options=DataOptions(**options),
        places=folders(data_dir, cache_dir),
        offline=offline,
    )
    sys.stdout.reconfigure(encoding="utf-8")  # names of examples, whatever the terminal shows
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["split", "part", "example", "classes"])
    writer.writerows(split_table(benchmark))
    click.echo(f"splits_sha256 {benchmark.splits_sha256}", err=True)
