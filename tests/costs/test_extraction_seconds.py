"""Seconds of extractions, from rates that are as if measured: what is measured, and how often."""

import pytest
from helpers.pictures import NARROW, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.costs import extraction_seconds
from vggfeat.costs.extraction_seconds import ExtractionSeconds
from vggfeat.costs.rates import ForwardRate, LoadingRate
from vggfeat.features.options import Extraction
from vggfeat.prefetch import available_cores


@pytest.fixture
def measured(monkeypatch):
    """What was timed: 2 s a megapixel, 0.5 a pass, 3 to begin; a core loads a megapixel in 1 s."""
    timed = []

    def forward_rates(network, options, sizes, *, scales, seconds):
        timed.append((scales, len(sizes)))
        return {scale: ForwardRate(2.0, pass_s=0.5) for scale in scales}, 3.0

    monkeypatch.setattr(extraction_seconds, "forward_rates", forward_rates)
    loading = LoadingRate(0.0, 1.0)
    monkeypatch.setattr(extraction_seconds, "loading_rate", lambda *_, **__: loading)
    return timed


def test_pictures_are_counted_with_their_own_sizes(measured, tmp_path):
    """Two of 64x48 share a pass, one of 48x64 has its own; each is twice 3,072 pixels at 48."""
    sizes = [(64, 48), (48, 64), (64, 48)]
    pictures = {str(n): write_picture(tmp_path / f"{n}.png", s) for n, s in enumerate(sizes)}
    seconds, network = ExtractionSeconds(), load_network(NARROW)
    options = Extraction(scales=(48,), device="cpu")
    a_picture = 2 * 3072 / 1e6 * 2.0 + 2 / 3 * 0.5 + 3072 / 1e6 / available_cores()
    assert seconds.of(network, options, 300, pictures) == pytest.approx(3 + 300 * a_picture)
    assert seconds.has_measured and measured == [((48,), 3)]
    # What is known is not measured again, and has begun.
    assert seconds.of(network, options, 300, pictures) == pytest.approx(300 * a_picture)
    seconds.of(network, Extraction(scales=(32, 48), device="cpu"), 1, pictures)
    assert [scales for scales, _ in measured] == [(48,), (32,)]


def test_layers_of_one_pass_are_counted_once(measured):
    seconds, options = ExtractionSeconds(), Extraction(scales=(48,), device="cpu")
    assert seconds.of(load_network(NARROW), options, 0) == 0 and not measured
    assert seconds.of(load_network(NARROW), options, 10) > 0
    before_relu = load_network(NARROW.replace("vgg11:", "vgg11:relu=false,"))
    assert seconds.of(before_relu, options, 10) == 0
    assert seconds.of(load_network(NARROW.replace("random:0", "random:1")), options, 10) > 0
