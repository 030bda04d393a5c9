"""The command line: parse, make one call, show what comes back.

Numbers and tables go to stdout, everything else to stderr. What a user can cause ends in one line
and exit status 1, wrong usage in 2, an interrupt in 130.
"""

import difflib
import errno
import logging
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from vggfeat.errors import VggfeatError
from vggfeat.progress import ProgressDisplay

# Libraries are imported inside the commands: `vggfeat --help` must not wait for torch.


class _Commands(click.Group):
    """A group that turns errors into one line and a mistyped command into a suggestion."""

    def resolve_command(self, context: click.Context, arguments: list[str]):
        name = arguments[0]
        if self.get_command(context, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.commands, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(sorted(self.commands))
            raise click.UsageError(f"No command {name!r}.{hint} Known: {known}.", context)
        return super().resolve_command(context, arguments)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except VggfeatError as error:
            raise click.ClickException(" ".join(str(error).split("\n"))) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of our output went away; click ends quietly
            reason = (error.strerror or str(error)).splitlines()[0]
            where = f": {error.filename}" if error.filename else ""
            raise click.ClickException(f"{reason}{where}") from error
        except KeyboardInterrupt:
            click.echo(
                "\nInterrupted. What was done is kept; the same command goes on from there.",
                err=True,
            )
            context.exit(130)


class _Numbers(click.ParamType):
    """Comma-separated whole numbers."""

    name = "N,N,..."

    def convert(self, value: Any, parameter, context) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 256,384,512.")


class _BatchSize(click.ParamType):
    """A whole number, or auto."""

    name = "number"

    def convert(self, value: Any, parameter, context) -> int | None:
        if value in (None, "auto"):
            return None
        return click.IntRange(1).convert(value, parameter, context)


def _options(*decorators: Callable) -> Callable:
    def apply(command: Callable) -> Callable:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


_FOLDER = click.Path(file_okay=False, path_type=Path)
_data_dir = click.option(
    "--data-dir",
    type=_FOLDER,
    help="Folder that holds or receives the datasets; in VGGFEAT_HOME or the user's cache folder"
    " by default.",
)
_quiet = click.option("--quiet", is_flag=True, help="Warnings and errors only.")
_out = click.option(
    "--out", type=_FOLDER, default=Path("results"), show_default=True, help="Folder of records."
)
_format = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json", "latex"]),
    default="table",
    show_default=True,
    help="What to print; json prints the records themselves.",
)
_extraction_options = _options(
    click.option(
        "--net",
        "nets",
        multiple=True,
        metavar="NET",
        help="NAME[:KEY=VALUE,...][@WEIGHTS], repeatable; `+` uses nets together. WEIGHTS is a"
        " file, `torchvision` (default) or `random:SEED`.",
    ),
    _data_dir,
    click.option("--cache-dir", type=_FOLDER, help="Folder for weights and feature files."),
    click.option("--scales", type=_Numbers(), help="Shortest sides in pixels."),
    click.option("--mirror/--no-mirror", default=None, help="Average with mirrored pictures."),
    click.option("--exif", is_flag=True, help="Turn pictures as their EXIF orientation says."),
    click.option(
        "--background/--no-background",
        default=True,
        help="Caltech: count the background folder as a class.",
    ),
    click.option(
        "--limit", type=int, metavar="N", help="At most N pictures a class, to try things out."
    ),
    click.option(
        "--on-error",
        type=click.Choice(["stop", "skip"]),
        default="stop",
        show_default=True,
        help="What to do at a picture that cannot be read.",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16"]),
        default="auto",
        show_default=True,
        help="Of the forward pass; auto is bf16 on a GPU, fp32 on a CPU.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16"]),
        default="float32",
        show_default=True,
        help="Of the stored descriptors.",
    ),
    click.option(
        "--batch-size",
        type=_BatchSize(),
        metavar="N",
        default="auto",
        show_default=True,
        help="In pictures.",
    ),
    click.option("--offline", is_flag=True, help="Never download."),
    _quiet,
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vggfeat")
def main() -> None:
    """How good are a network's frozen features?

    \b
    Try it, no download needed:    vggfeat demo
    The main job:                  vggfeat bench caltech101 --data-dir DATA
    """


@main.command()
@click.argument("benchmarks", nargs=-1, metavar="[NAMES]...")
@click.option("--all", "all_benchmarks", is_flag=True, help="Every benchmark of the paper.")
@_extraction_options
@click.option(
    "--aggregate",
    type=click.Choice(["average", "stack"]),
    help="How to combine scales; each benchmark has the paper's default.",
)
@click.option("--splits", type=int, default=3, show_default=True, help="Random splits.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the splits.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; fetch and measure nothing.")
@_out
@_format
def bench(
    benchmarks: Sequence[str],
    all_benchmarks: bool,
    aggregate: str | None,
    splits: int,
    seed: int,
    dry_run: bool,
    out: Path,
    form: str,
    **options: Any,
) -> None:
    """Measure nets on benchmarks: extract what is missing, fit, score, tabulate.

    \b
    vggfeat bench caltech101 --net vgg16 --net vgg19 --net vgg16+vgg19
    vggfeat bench caltech101 --net squeezenet1_0@weights.safetensors --scales 256
    """
    if not benchmarks and not all_benchmarks:
        raise click.UsageError("Name a benchmark (see `vggfeat datasets ls`) or give --all.")
    with _imports():
        from vggfeat.benchmarks import bench as benching

    if all_benchmarks:
        in_paper = [name for name, entry in benching.BENCHMARKS.items() if entry.in_paper]
        benchmarks = [*benchmarks, *in_paper]
    nets = options.pop("nets") or ("vgg16", "vgg19", "vgg16+vgg19")
    options["offline"] |= dry_run
    job = _job(benchmarks, nets, options, splits=splits, seed=seed, aggregate=aggregate)
    if dry_run:
        for line in benching.plan(job, out):
            click.echo(line)
        return
    _bench(job, out, form, options["quiet"])


@main.command()
@click.option("--dataset", "datasets", multiple=True, required=True, help="Repeatable.")
@_extraction_options
def extract(datasets: Sequence[str], **options: Any) -> None:
    """Store the descriptors of every picture of a dataset.

    \b
    vggfeat extract --dataset caltech101 --net vgg16
    """
    with _imports():
        from vggfeat.benchmarks import bench as benching

    nets = options.pop("nets") or ("vgg16", "vgg19")
    job = _job(datasets, nets, options)
    with ProgressDisplay(options["quiet"]) as progress:
        for dataset, label, extracted in benching.extract_all(job, progress):
            skipped = f"{len(extracted.skipped)} skipped, " if extracted.skipped else ""
            new = f"{extracted.num_new} new descriptors"
            click.echo(f"{dataset}, {label}: {new}, {skipped}{extracted.path}")


@main.command()
@_out
@_format
def table(out: Path, form: str) -> None:
    """Print the records of a results folder beside the published numbers."""
    from vggfeat import records

    found = records.read_all(out)
    if not found:
        raise click.ClickException(f"{out}: holds no records. `vggfeat bench` makes them.")
    _show(found, form)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Say what is in a feature file, and whether its numbers are sound."""
    from vggfeat import store

    found = store.inspect(file)
    num_rows, num_scales, dim = found.shape
    click.echo(f"{file}: {found.bytes / 1e6:.1f} MB, made {found.created}")
    click.echo(f"descriptors: {num_rows} pictures x {num_scales} scales x {dim}")
    click.echo(f"done: {found.num_done} of {num_rows}")
    click.echo(f"rows that are not finite: {found.num_not_finite}, all zero: {found.num_zero}")
    for name, value in vars(found.conditions).items():
        click.echo(f"{name}: {', '.join(map(str, value)) if isinstance(value, tuple) else value}")
    click.echo(f"weights name: {found.weights_name}")
    for versions in found.versions:
        click.echo("written by: " + ", ".join(f"{name} {v}" for name, v in versions.items()))


@main.group()
def datasets() -> None:
    """The datasets of the benchmarks."""


@datasets.command("ls")
@_data_dir
def datasets_ls(data_dir: Path | None) -> None:
    """List the benchmarks and where their data is."""
    from vggfeat.benchmarks.bench import BENCHMARKS
    from vggfeat.folders import folders

    places = folders(data_dir)
    for name, entry in BENCHMARKS.items():
        found = entry.locate(places)
        click.echo(f"{name:<12} {entry.about:<60} {found or 'not in ' + str(places.data)}")


@main.command()
@click.option("--cache-dir", type=_FOLDER, help="Folder for feature files.")
@click.option("--out", type=_FOLDER, help="Folder of records; in the cache folder by default.")
@_format
@_quiet
def demo(cache_dir: Path | None, out: Path | None, form: str, quiet: bool) -> None:
    """Run everything in miniature: no download, no GPU, under 2 minutes.

    Three narrow nets with random weights on scikit-learn's digits, through the code that runs
    Caltech-101.
    """
    with _imports():
        from vggfeat.benchmarks.embedded import DEMO_NETS, EXPLANATION

    options = {"cache_dir": cache_dir, "quiet": quiet}
    job = _job(["digits"], DEMO_NETS, options)
    out = out or job.folders.cache / "demo"
    _bench(job, out, form, quiet)
    click.echo(EXPLANATION, err=True)


def _job(
    benchmarks: Sequence[str],
    nets: Sequence[str],
    options: dict[str, Any],
    *,
    splits: int = 3,
    seed: int = 0,
    aggregate: str | None = None,
):
    """The parsed options as what the library takes; sets up messages on stderr."""
    from vggfeat.benchmarks.bench import Job
    from vggfeat.benchmarks.protocol import DataOptions
    from vggfeat.folders import folders

    # Remarks on odd pictures; what matters of them is an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.basicConfig(
        level=logging.WARNING if options["quiet"] else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
        force=True,
    )
    extraction = (
        "scales", "mirror", "exif", "device", "precision", "dtype", "batch_size", "on_error",
    )  # fmt: skip
    return Job(
        benchmarks=benchmarks,
        nets=nets,
        folders=folders(options.get("data_dir"), options.get("cache_dir")),
        splits=DataOptions(
            num_splits=splits,
            seed=seed,
            background=options.get("background", True),
            limit=options.get("limit"),
        ),
        offline=options.get("offline", False),
        settings={name: options[name] for name in extraction if name in options}
        | {"aggregate": aggregate},
        command=shlex.join(["vggfeat", *sys.argv[1:]]),
    )


@contextmanager
def _imports() -> Iterator[None]:
    """Ctrl-C while libraries load ends the process: numpy and torch do not survive an exception."""
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _bench(job, out: Path, form: str, quiet: bool) -> None:
    """Run the job and show its records; those that were made before an error, too."""
    from vggfeat.benchmarks.bench import bench

    found = []
    try:
        with ProgressDisplay(quiet) as progress:
            for record in bench(job, out, progress):
                found.append(record)
    finally:
        if found:
            _show(found, form)


def _show(found: Sequence, form: str) -> None:
    """Print records: as JSON, or as a table beside the published numbers."""
    if form == "json":
        from vggfeat import records

        click.echo("[" + ",\n".join(records.to_json(record) for record in found) + "]")
        return
    from vggfeat.benchmarks.bench import PUBLISHED
    from vggfeat.comparison import compare, read_published
    from vggfeat.tables import render

    click.echo(render(compare(found, read_published(PUBLISHED)), form), nl=False)
