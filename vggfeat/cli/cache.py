"""cache: what lies in the cache folder, and how it goes."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from vggfeat.cli.group import Commands, importing, main
from vggfeat.cli.ls import listing_format, show_listing
from vggfeat.cli.options import cache_dir
from vggfeat.plurals import in_bytes
from vggfeat.storage.folders import Folders, folders

# As cache_folder.KINDS.
KINDS = ("features", "weights", "unpacked", "copies", "scratch", "libraries", "demo")
DAYS = {"h": 1 / 24, "d": 1, "w": 7}


class Age(click.ParamType):
    """A number of hours, days or weeks, as days."""

    name = "AGE"

    def convert(self, value: Any, parameter, context) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,6})([hdw])", value)
        if not match:
            self.fail(f"{value!r} is no age such as 30d, 12h or 2w.")
        return int(match[1]) * DAYS[match[2]]


@main.group(cls=Commands)
def cache() -> None:
    """What lies in the cache folder: features, weights, unpacked archives.

    \b
    vggfeat cache ls
    vggfeat cache clear features --older-than 30d
    """


@cache.command("ls")
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS), metavar="[WHAT]...")
@cache_dir
@listing_format
def ls(kinds: Sequence[str], cache_dir: Path | None, form: str) -> None:
    """List what the cache folder holds: size, age, and what it is of.

    WHAT is features, weights, unpacked, libraries or demo; all of them by default. Datasets and
    other files of yours are not listed.

    \b
    vggfeat cache ls
    vggfeat cache ls features --format csv
    """
    places = folders(cache_dir=cache_dir)
    with importing():
        from vggfeat.features.cache_folder import entries, led_out

    for path in led_out(places):
        click.echo(f"{path}: leads out of the cache folder, and is left alone", err=True)
    found = list(entries(places, tuple(kinds)))
    if form in ("csv", "json"):
        show_listing([_line(entry) for entry in found], form)
        return
    if not found:
        click.echo(f"{places.cache}: holds nothing of vggfeat's.")
        return
    lines = [
        {"kind": e.kind, "size": in_bytes(e.bytes), "age": _age(e), "what": e.what} for e in found
    ]
    show_listing(lines, form)
    click.echo(f"In all {in_bytes(sum(e.bytes for e in found))} in {places.cache}")


@cache.command("clear")
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS), metavar="[WHAT]...")
@click.option(
    "--older-than",
    type=Age(),
    metavar="AGE",
    help="Only what nothing was written to for so long, as 30d, 12h or 2w.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cache_dir
def clear(
    kinds: Sequence[str],
    older_than: float | None,
    dry_run: bool,
    yes: bool,
    cache_dir: Path | None,
) -> None:
    """Remove what can be made or fetched again; asks before it does.

    WHAT is features, weights, unpacked, libraries or demo; all of them by default. What another
    process is at work on stays, and so do datasets, records and other files of yours.

    \b
    vggfeat cache clear features --older-than 30d
    vggfeat cache clear --dry-run
    """
    places = folders(cache_dir=cache_dir)
    with importing():
        from vggfeat.features.cache_folder import entries

    found = [
        entry
        for entry in entries(places, tuple(kinds))
        if older_than is None or entry.age_days() >= older_than
    ]
    if not found:
        click.echo(f"{places.cache}: nothing to remove.")
        return
    for kind, of_kind in groupby(found, lambda entry: entry.kind):
        members = list(of_kind)
        click.echo(f"{kind}: {len(members)}, {in_bytes(sum(e.bytes for e in members))}")
        for entry in members:
            click.echo(f"  {entry.path.relative_to(places.cache)}: {entry.what}")
    total = in_bytes(sum(entry.bytes for entry in found))
    if dry_run:
        click.echo(f"would free {total} in {places.cache}")
        return
    if not yes and not click.confirm(f"Remove this, {total} in {places.cache}?"):
        raise click.ClickException("nothing was removed. --yes removes without asking.")
    _remove(found, places)


def _remove(found: Sequence[Any], places: Folders) -> None:
    from vggfeat.errors import in_one_line
    from vggfeat.features.cache_folder import remove

    freed, failed = 0, 0
    for entry in found:
        try:
            if remove(entry, places):
                freed += entry.bytes
            else:
                click.echo(f"{entry.path}: another process is at work on it; it stays", err=True)
        except OSError as error:
            failed += 1
            click.echo(f"Failed: {in_one_line(error)}", err=True)
    click.echo(f"freed {in_bytes(freed)} in {places.cache}")
    if failed:
        raise click.ClickException(f"{failed} of {len(found)} could not be removed.")


def _age(entry: Any) -> str:
    from vggfeat.durations import in_words

    return in_words(86400 * entry.age_days())


def _line(entry: Any) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "path": str(entry.path),
        "bytes": entry.bytes,
        "age_days": round(entry.age_days(), 3),
        "what": entry.what,
    }
