"""A page of help: options below headings, then the examples that end the docstring."""

import inspect
import shutil
import sys
from typing import Any

import click

from vggfeat import options
from vggfeat.cli.colours import are_wanted

MEASURED = "What is measured"
NETS = "Nets"
PICTURES = "Pictures, splits and labels"
DESCRIPTORS = "Descriptors"
PROBE = "Vectors and probe"
TRAINING = "Training"
COMPUTING = "How it is computed"
PLACES = "Where things lie"
OUTPUT = "Output"
OTHERS = "Options"  # what stands below no heading
ALWAYS = "Messages and help"
# Options of a measurement stand below what they change, as their declarations say.
CHANGED = {
    options.DATA: PICTURES,
    options.DESCRIPTORS: DESCRIPTORS,
    options.VECTORS: PROBE,
    options.PROBE: PROBE,
    options.NOTHING: COMPUTING,
}
# Others have the same name in every command, and so the same heading.
FLAGS = {
    MEASURED: "all suite benchmark labels shots sweep dataset images views view scales ilsvrc runs"
    " quick repeats pictures merge-threshold picture-size picture-bytes",
    NETS: "net layer classifier classifier-scales weights picture prototxt",
    PICTURES: "data limit skip-unknown-classes check-data",
    PROBE: "probe save-probe",
    TRAINING: "stage set colours tensorboard",
    COMPUTING: "gpus cores images-per-second tflops utilisation rates save-rates read-rate"
    " write-rate precision pass-size memory device dry-run repair older-than yes",
    PLACES: "data-dir cache-dir offline out to shard-rows compression predictions save config",
    OUTPUT: "watts price disk-price format form intervals notes title only figures open show"
    " show-config count top plot",
    ALWAYS: "quiet verbose debug version help",
}
ORDER = (MEASURED, NETS, PICTURES, DESCRIPTORS, PROBE, TRAINING, COMPUTING, PLACES, OUTPUT)
_HEADINGS = {f"--{flag}": heading for heading, flags in FLAGS.items() for flag in flags.split()}


def heading_of(option: click.Option) -> str:
    """The heading that an option stands below."""
    declaration = getattr(option, "declaration", None)
    if declaration is not None:
        return CHANGED[declaration.changes]
    long = next((flag for flag in option.opts if flag.startswith("--")), "")
    return _HEADINGS.get(long, OTHERS)


def about_and_examples(text: str) -> tuple[str, str]:
    """A docstring without the lines that end it as examples, and these; "" if there are none.

    Examples are the last paragraph, if that keeps its lines: it begins with a backspace, as click
    has it.
    """
    text = inspect.cleandoc(text)
    about, _, last = text.rpartition("\n\n")
    lines = last.splitlines()
    if lines[:1] != ["\b"]:
        return text, ""
    return about, "\n".join(lines[1:])


MIN_WIDTH = 30


class HelpFormatter(click.HelpFormatter):
    """Help with bold headings, which click leaves out where the context has no colours."""

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        self.write(click.style(f"{'':>{self.current_indent}}{heading}:", bold=True) + "\n")


class HelpContext(click.Context):
    """The context whose help is written by that formatter, in colours where they are wanted."""

    formatter_class = HelpFormatter

    def __init__(self, *arguments: Any, **more: Any):
        super().__init__(*arguments, **more)
        self.color = are_wanted(sys.stdout)
        # click's own least width is 50.
        self.terminal_width = max(min(shutil.get_terminal_size().columns, 80) - 2, MIN_WIDTH)


class HelpPage(click.Command):
    """A command whose help has its options below headings and its examples at the end."""

    context_class = HelpContext

    def format_help_text(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, without its examples."""
        about, _ = about_and_examples(self.help or "")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(about)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of a heading together."""
        below: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(context):
            if isinstance(option, click.Option) and (line := option.get_help_record(context)):
                below.setdefault(heading_of(option), []).append(line)
        for heading in (*ORDER, OTHERS, ALWAYS):
            if heading in below:
                with formatter.section(heading):
                    formatter.write_dl(below[heading], col_max=min(24, formatter.width // 3))

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        _, examples = about_and_examples(self.help or "")
        if examples:
            with formatter.section("Examples"):
                formatter.write_text(f"\b\n{examples}")
