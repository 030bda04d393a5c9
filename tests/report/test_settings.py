"""Settings of records as text, and a new option of a measurement as a setting in its tables."""

from dataclasses import dataclass

from helpers.records import PAPER_PROTOCOL, make_record

from vggfeat.features.options import VectorOptions
from vggfeat.options import VECTORS, option
from vggfeat.report import settings, sweep, transfer
from vggfeat.report.render import render


@dataclass(frozen=True, kw_only=True)
class WithPower(VectorOptions):
    power: str = option("none", "Signed root.", changes=VECTORS, added_later=True)


BEFORE = make_record()
HALF = make_record(protocol=PAPER_PROTOCOL | {"power": "half"})


def test_settings_are_in_the_words_of_published_rows():
    features = {"exif": False, "precision": "bf16", "dtype": "float32"}
    nets = [{"name": name, "weights": "w", "features": features} for name in ("vgg16", "vgg19")]
    stated = settings.settings_of(make_record(nets=nets, probe={"solver": "newton"}))
    assert (stated["scales"], stated["mirror"], stated["splits"]) == ("256 384 512", "yes", "3")
    assert (stated["precision"], stated["solver"], stated["box_margin"]) == ("bf16", "newton", "")


def test_a_sweep_of_records_without_scales_and_with_a_value_of_zero():
    no_scales = {name: value for name, value in PAPER_PROTOCOL.items() if name != "scales"}
    zero = {"mean_class_recall": {"value": 0.0, "spread": 0.0}}
    record = make_record(protocol=no_scales, metrics=zero)
    assert "0.0 ± 0.0" in render(sweep.tables([record]), "table")
    assert ",mean_class_recall,0.0,0.0," in render(sweep.numbers([record]), "csv")


def test_a_new_option_is_a_setting_where_a_record_states_it(monkeypatch):
    assert settings.later_options([BEFORE, HALF]) == {}
    monkeypatch.setattr(settings, "DECLARED", (WithPower,))
    assert settings.later_options([BEFORE]) == {}
    assert settings.later_options([BEFORE, HALF]) == {"power": "none"}


def test_a_new_option_is_in_the_tables_with_its_default_for_older_records(monkeypatch):
    monkeypatch.setattr(settings, "DECLARED", (WithPower,))
    beside = render(transfer.table(transfer.compare([BEFORE, HALF])), "table")
    assert "(power none)" in beside and "(power half)" in beside
    assert "power   Caltech-101" in render(sweep.tables([BEFORE, HALF]), "table")
    assert "power" not in render(sweep.numbers([BEFORE]), "csv")


def test_the_decoder_is_a_setting_where_a_record_has_another_than_pillow():
    whole, scaled = (
        make_record(nets=[{"name": "vgg16", "weights": "w", "features": {"decoder": decoder}}])
        for decoder in ("Pillow", "Pillow, scaled JPEG")
    )
    assert settings.later_options([whole]) == {}
    later = settings.later_options([whole, scaled])
    assert settings.settings_of(whole, later)["decoder"] == "Pillow"
    assert settings.settings_of(scaled, later)["decoder"] == "Pillow, scaled JPEG"
