"""An option is declared once: command line, key, sweep and plan follow from the field."""

from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from vggfeat.benchmarks.options import PARTS, Settings
from vggfeat.benchmarks.sweep import settings_of
from vggfeat.cli.options import declared
from vggfeat.errors import OptionError
from vggfeat.features.options import Extraction, VectorOptions
from vggfeat.layouts.options import DataOptions
from vggfeat.options import VECTORS, option, others_of


@dataclass(frozen=True, kw_only=True)
class WithPower(VectorOptions):
    """A new option of a measurement: this field is all there is to write beside its use."""

    power: str = option(
        "none",
        "Signed root of each value.",
        changes=VECTORS,
        choices=("none", "half"),
        sweep=others_of(("none", "half")),
        sweep_help="signed roots, or not",
        added_later=True,
    )


def test_a_new_option_is_on_the_command_line():
    @click.command()
    @declared(WithPower)
    def command(**options):
        click.echo(options["power"])

    runner = CliRunner()
    assert runner.invoke(command, ["--power", "half"]).output == "half\n"
    assert "Signed root of each value.  [default: none]" in runner.invoke(command, "--help").output
    assert runner.invoke(command, ["--power", "third"]).exit_code == 2


def test_a_new_option_is_in_the_key_where_it_changes_numbers():
    """At its default it is not, so that records of before are found."""
    before = {"aggregate": "average", "scale_l2": False}
    assert WithPower().key_values() == before
    assert WithPower(power="half").key_values() == before | {"power": "half"}


def test_a_new_option_is_an_axis_of_sweeps(monkeypatch):
    monkeypatch.setitem(PARTS, "vectors", WithPower)
    settings = Settings.of({"scales": (64,)})
    assert [s.vectors.power for s in settings_of(settings, ["power"])] == ["none", "half"]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: WithPower(power="third"), "power must be one of none, half; got 'third'"),
        (lambda: Extraction(scales=(0, 64)), r"scales must be from 1 to 10000; got \[0, 64\]"),
        (lambda: Extraction(scales=()), r"scales must be from 1 to 10000; got \[\]"),
        (lambda: Extraction(scales=(64, 64)), "a scale is given twice"),
        (lambda: Extraction(scales=(64,), batch_size=0), "batch size must be at least 1; got 0"),
        (lambda: DataOptions(num_splits=0), "splits must be from 1 to 1000; got 0"),
        (lambda: DataOptions(limit=1), "at least 2, one picture to train and one to test; got 1"),
        (lambda: DataOptions(box_margin=-0.5), "box margin must be from 0 to 10; got -0.5"),
    ],
)
def test_values_that_are_not_allowed_are_refused_in_one_line(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_a_name_that_is_no_option_is_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="no option of a measurement: scale"):
        Settings.of({"scales": (64,), "scale": 64})
