"""Requests for vectors: gathered first, each picture goes through a net once a scale."""

import pytest
from helpers.pictures import NARROW, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.errors import PictureError
from vggfeat.features import store
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets


@pytest.fixture
def pictures(tmp_path):
    return {f"{n}": write_picture(tmp_path / f"{n}.png", seed=n) for n in range(3)}


def request(pictures, *scales, net=NARROW, **options):
    return FeatureRequest(
        dataset="test",
        pictures=pictures,
        network=load_network(net),
        options=Extraction(scales=scales, **options),
    )


def test_a_file_is_completed_at_all_scales_that_were_gathered(pictures, tmp_path):
    features = FeatureSets(tmp_path)
    small, both = request(pictures, 32), request(pictures, 48, 32)
    features.gather([small, both])
    first, second = features.extract(small), features.extract(both)
    assert first.path == second.path and (first.num_new, second.num_new) == (3, 0)
    assert second.seconds == 0 and not second.stage_seconds
    assert store.read(first.path, ["1"], (48, 32)).shape[:2] == (1, 2)


def test_scales_that_no_request_has_together_are_joined(pictures, tmp_path):
    features = FeatureSets(tmp_path)
    requests = [request(pictures, 48), request(pictures, 32)]
    features.gather(requests)
    assert {features.extract(one).path for one in requests} == {features.extract(requests[0]).path}


def test_other_conditions_are_another_file(pictures, tmp_path):
    features = FeatureSets(tmp_path)
    paths = {
        features.extract(request(pictures, 32, **options)).path
        for options in ({}, {"mirror": False}, {"dtype": "float16"}, {"exif": True})
    }
    assert len(paths) == 4


def test_layers_of_one_net_share_a_forward_pass(pictures, tmp_path, caplog):
    caplog.set_level("DEBUG")
    features = FeatureSets(tmp_path)
    name, _, weights = NARROW.partition("@")
    layers = [request(pictures, 32, net=f"{name},layer={layer}@{weights}")
              for layer in ("pool5", "fc6")]  # fmt: skip
    features.gather(layers)
    features.extract(layers[0])
    assert "in the same pass: fc6" in caplog.text
    assert features.extract(layers[1]).num_new == 0


def test_more_pictures_are_added_to_the_file(pictures, tmp_path):
    features = FeatureSets(tmp_path)
    fewer = {i: path for i, path in pictures.items() if i != "2"}
    first, second = features.extract(request(fewer, 32)), features.extract(request(pictures, 32))
    assert (first.num_new, second.num_new) == (2, 1) and first.path == second.path


def test_seconds_are_those_of_the_scales_that_are_asked_for(pictures, tmp_path):
    """Whichever request caused the extraction; None where nothing was extracted."""
    features = FeatureSets(tmp_path)
    small, large, both = (request(pictures, *scales) for scales in ((32,), (64,), (32, 64)))
    features.gather([small, large, both])
    assert features.seconds_per_picture(small) is None
    features.extract(small)
    seconds = [features.seconds_per_picture(one) for one in (small, large, both)]
    assert min(seconds) > 0 and seconds[2] == pytest.approx(seconds[0] + seconds[1])
    features.extract(small)
    assert features.seconds_per_picture(small) == seconds[0]
    again = FeatureSets(tmp_path)
    again.extract(both)
    assert again.seconds_per_picture(both) is None


def test_a_request_for_more_scales_than_were_gathered_extracts_them(pictures, tmp_path):
    """As of measurements whose records were there but have to be made again."""
    features = FeatureSets(tmp_path)
    features.extract(request(pictures, 32))
    path = features.extract(request(pictures, 32, 48)).path
    assert store.read(path, ["1"], (32, 48)).shape[:2] == (1, 2)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_picture_too_large_at_a_scale_of_others_is_read_at_ones_own(pictures, tmp_path, on_error):
    """A number does not depend on what else is measured."""
    pictures["long"] = write_picture(tmp_path / "long.png", (4000, 20))
    features = FeatureSets(tmp_path)
    small, both = (request(pictures, *scales, on_error=on_error) for scales in ((32,), (32, 256)))
    features.gather([small, both])
    if on_error == "stop":
        with pytest.raises(PictureError, match="51200x256 at scale 256"):
            features.extract(both)
    else:
        assert list(features.extract(both).skipped) == ["long"]
    extracted = features.extract(small)
    assert not extracted.skipped
    assert store.read(extracted.path, ["long"], (32,)).shape[0] == 1
