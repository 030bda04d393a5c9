"""report: records as one page to look at, send and print."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggfeat.cli.group import importing, main, set_up_messages
from vggfeat.cli.options import FOLDER, Names
from vggfeat.errors import RecordError

if TYPE_CHECKING:
    from vggfeat.report.figures.figure import Figure

DEFAULT = Path("results")


@main.command()
@click.argument("folders", nargs=-1, type=FOLDER)
@click.option(
    "--runs", multiple=True, type=FOLDER, help="Folder of `pretrain`'s records; repeatable."
)
@click.option(
    "--data-dir", type=FOLDER, help="Folder of the datasets, whose pictures are shown small."
)
@click.option(
    "--pictures",
    multiple=True,
    type=click.Path(),
    help="Folder or CSV list of your own pictures that were measured on, or torchvision:CLASS or"
    " hf:OWNER/NAME; repeatable.",
)
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The file to write.",
)
@click.option("--title", default="", help="The page's heading; by default what was measured on.")
@click.option(
    "--only",
    type=Names(),
    default=(),
    metavar="SECTION,...",
    help="Only these sections, of comparison, classes, settings, pairs, pictures, ilsvrc, training,"
    " time, records.",
)
@click.option("--figures", type=FOLDER, help="Write the page's figures there, too, a file each.")
@click.option(
    "--form",
    type=click.Choice(["png", "svg", "pdf"]),
    default="pdf",
    show_default=True,
    help="What the files of --figures are.",
)
@click.option("--open", "open_it", is_flag=True, help="Show the page in the browser.")
def report(
    folders: Sequence[Path],
    runs: Sequence[Path],
    data_dir: Path | None,
    pictures: Sequence[str],
    to: Path,
    title: str,
    only: Sequence[str],
    figures: Path | None,
    form: str,
    open_it: bool,
) -> None:
    """Write one HTML file of records, to look at, send and print.

    FOLDERS are results folders, by default `results`. Nothing is measured: records and the scores
    beside them are read. The file loads nothing, needs no script, and is the same for the same
    records.

    \b
    vggfeat report
    vggfeat report results --runs runs --data-dir data --to report.html --open
    vggfeat report results --only comparison,records --title "Two nets"
    """
    with importing():
        from vggfeat.benchmarks.datasets.by_name import is_by_name
        from vggfeat.benchmarks.report.read import results_in
        from vggfeat.benchmarks.report.report import report as page_of
        from vggfeat.report.page.html import page_html
        from vggfeat.storage.files import new_file

    set_up_messages(quiet=False)
    if not folders and (DEFAULT.is_dir() or not runs):
        folders = [DEFAULT]
    results = results_in(folders, runs)
    # A folder may be called like a benchmark.
    own = [name if is_by_name(name) else Path(name) for name in pictures]
    page = page_of(results, title=title, only=only, data_dir=data_dir, own_pictures=own)
    html = page_html(page).encode()
    with _written(to, "--to"), new_file(to) as file:
        file.write(html)
    click.echo(f"{to}: {len(html) / 1e6:.2f} MB")
    if figures is not None:
        _write_figures(page.figures, figures, form)
    if open_it:
        webbrowser.open(to.resolve().as_uri())


def _write_figures(drawn: Sequence[Figure], folder: Path, form: str) -> None:
    """The page's figures as files. Raises OptionError without matplotlib."""
    from vggfeat.report.figures.style import save

    for figure in drawn:
        with _written(folder, "--figures"):
            click.echo(save(figure, folder, form))


@contextmanager
def _written(path: Path, option: str) -> Iterator[None]:
    """A `with` block in which something is written. Raises RecordError naming the option."""
    try:
        yield
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be written ({error.strerror}). Choose another {option}."
        ) from error
