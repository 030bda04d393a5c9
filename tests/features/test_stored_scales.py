"""Scales that are on disk are never computed again; rows that hold them are whole or not there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.interrupts import interrupted_at
from helpers.pictures import NARROW, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.features import store
from vggfeat.features.conditions import conditions
from vggfeat.features.extract import extract
from vggfeat.features.inference import layer_by_layer
from vggfeat.features.options import Extraction
from vggfeat.images import picture_bytes
from vggfeat.provenance import library_versions

SIZES = ((48, 36), (40, 60))
SMALL, LARGE = 32, 48
EXTRACTS = ("progress", "shared_with", "may_change")  # of `extract`, not of the options


@pytest.fixture
def pictures(tmp_path):
    """Seven pictures in two shapes, id -> path."""
    return {
        f"{i}": write_picture(tmp_path / "pictures" / f"{i}.png", SIZES[i % 2], seed=i)
        for i in range(7)
    }


@pytest.fixture
def passes():
    """The scale of each picture that goes through a net, in the order of the passes.

    Nets are run layer by layer, whose first one a hook can watch.
    """
    scales = []

    def note(module, inputs):
        if getattr(module, "in_channels", None) == 3:  # the first layer
            scales.extend([min(inputs[0].shape[2:])] * len(inputs[0]))

    with layer_by_layer(), torch.nn.modules.module.register_module_forward_pre_hook(note):
        yield scales


def run(pictures, folder, *scales, net=NARROW, **options):
    given = {name: options.pop(name) for name in EXTRACTS if name in options}
    options = Extraction(scales=scales, precision="fp32", mirror=False, **options)
    return extract("test", pictures, load_network(net), options, folder=folder, **given)


def stored(extracted, pictures, *scales):
    return store.read(extracted.path, list(pictures), scales)


def test_only_the_scale_that_is_not_stored_is_computed(tmp_path, pictures, passes):
    large = run(pictures, tmp_path / "a", LARGE)
    small = run(pictures, tmp_path / "b", SMALL)
    passes.clear()
    both = run(pictures, tmp_path / "a", SMALL, LARGE)
    assert passes == [SMALL] * 7 and both.num_new == 7
    assert both.path != large.path
    # Bit for bit the stored ones, and those of a run at this scale alone.
    assert np.array_equal(stored(both, pictures, LARGE), stored(large, pictures, LARGE))
    assert np.array_equal(stored(both, pictures, SMALL), stored(small, pictures, SMALL))
    assert store.inspect(both.path).damaged == []
    whole = run(pictures, tmp_path / "c", SMALL, LARGE)
    np.testing.assert_allclose(
        stored(both, pictures, SMALL, LARGE), stored(whole, pictures, SMALL, LARGE), atol=1e-5
    )


def test_scales_of_several_files_are_put_together_without_a_pass(tmp_path, pictures, passes):
    apart = [run(pictures, tmp_path, scale) for scale in (SMALL, LARGE)]
    passes.clear()
    both = run(pictures, tmp_path, LARGE, SMALL)
    assert passes == [] and both.num_new == 7 and both.skipped == {}
    for scale, one in zip((SMALL, LARGE), apart, strict=True):
        assert np.array_equal(stored(both, pictures, scale), stored(one, pictures, scale))
    ids = list(pictures)
    assert np.array_equal(store.read_sizes(both.path, ids), [SIZES[i % 2] for i in range(7)])
    assert store.picture_digests(both.path, ids) == store.picture_digests(apart[0].path, ids)


def test_pictures_that_are_not_stored_are_computed_at_all_scales(tmp_path, pictures, passes):
    few = dict(list(pictures.items())[:3])
    run(few, tmp_path, LARGE)
    passes.clear()
    done = []
    both = run(
        pictures, tmp_path, SMALL, LARGE, progress=lambda label, n, total: done.append((n, total))
    )
    assert sorted(passes) == [SMALL] * 7 + [LARGE] * 4
    assert done[-1] == (7, 7) and [n for n, _ in done] == sorted(n for n, _ in done)
    assert both.scale_seconds == {}  # as it would not be of the same pictures for each scale


def test_the_rows_that_a_larger_file_has_are_used_though_it_is_incomplete(
    tmp_path, pictures, passes
):
    few = dict(list(pictures.items())[:3])
    larger = run(few, tmp_path, SMALL, 40, LARGE)
    passes.clear()
    both = run(pictures, tmp_path, SMALL, LARGE)
    assert sorted(passes) == [SMALL] * 4 + [LARGE] * 4
    assert np.array_equal(stored(both, few, SMALL, LARGE), stored(larger, few, SMALL, LARGE))


def test_an_interrupted_run_goes_on_and_ends_bit_equal(tmp_path, pictures, passes):
    for folder in ("whole", "torn"):
        run(pictures, tmp_path / folder, LARGE, batch_size=2)
    whole = run(pictures, tmp_path / "whole", SMALL, LARGE, batch_size=2)

    with interrupted_at(3):
        run(pictures, tmp_path / "torn", SMALL, LARGE, batch_size=2)
    passes.clear()
    rest = run(pictures, tmp_path / "torn", SMALL, LARGE, batch_size=2)
    assert passes == [SMALL] * rest.num_new and 0 < rest.num_new < 7
    assert np.array_equal(
        stored(rest, pictures, SMALL, LARGE), stored(whole, pictures, SMALL, LARGE)
    )


def test_a_picture_that_holds_something_else_now_is_computed_at_all_scales(
    tmp_path, pictures, passes
):
    """Its file has the size that it had, so that only its digest says so."""
    path = write_picture(tmp_path / "2.bmp", SIZES[0])
    pictures = pictures | {"2": path}
    run(pictures, tmp_path, LARGE)
    write_picture(path, SIZES[0], seed=99)
    passes.clear()
    both = run(pictures, tmp_path, SMALL, LARGE)
    assert passes.count(LARGE) == 1 and both.num_new == 7
    anew = run({"2": path}, tmp_path / "anew", SMALL, LARGE)
    np.testing.assert_allclose(
        stored(both, ["2"], SMALL, LARGE), stored(anew, ["2"], SMALL, LARGE), atol=1e-5
    )


def test_a_damaged_row_is_computed_at_all_scales(tmp_path, pictures, passes):
    large = run(pictures, tmp_path, LARGE)
    content, vector = large.path.read_bytes(), stored(large, ["3"], LARGE).tobytes()
    large.path.write_bytes(content.replace(vector, bytes(len(vector))))
    passes.clear()
    run(pictures, tmp_path, SMALL, LARGE)
    assert passes.count(LARGE) == 1 and passes.count(SMALL) == 7


def test_a_file_that_was_moved_away_meanwhile_serves_no_more(tmp_path, pictures):
    large = run(pictures, tmp_path, LARGE)
    network, sizes = load_network(NARROW), {i: picture_bytes(p) for i, p in pictures.items()}
    options = Extraction(scales=(SMALL, LARGE), precision="fp32", mirror=False)
    wanted = conditions("test", network, options)
    others = store.OtherScales(
        tmp_path, f"test-{network.slug}", wanted, sizes, path=tmp_path / "x.h5"
    )
    assert others.scales_of("0") == (LARGE,)
    large.path.unlink()
    with others:
        assert others.read("0", [LARGE]) is None


def test_other_conditions_do_not_serve(tmp_path, pictures, passes):
    run(pictures, tmp_path, LARGE, dtype="float16")
    run(pictures, tmp_path, LARGE, net=NARROW.replace("random:0", "random:1"))
    passes.clear()
    run(pictures, tmp_path, SMALL, LARGE)
    assert passes.count(LARGE) == 7


def test_nets_that_share_a_pass_take_their_columns_each(tmp_path, pictures, passes):
    nets = [NARROW.replace("vgg11:", f"vgg11:layer={layer},") for layer in ("pool5", "fc7")]
    first, other = map(load_network, nets)
    given = {"net": nets[0], "shared_with": [other]}
    run(pictures, tmp_path, LARGE, **given)
    passes.clear()
    run(pictures, tmp_path, SMALL, LARGE, **given)
    assert passes == [SMALL] * 7
    for net in (first, other):
        options = Extraction(scales=(SMALL, LARGE), precision="fp32", mirror=False)
        wanted = conditions("test", net, options)
        lengths = {i: picture_bytes(path) for i, path in pictures.items()}
        path, complete = store.find(tmp_path, f"test-{net.slug}", wanted, lengths)
        alone, _ = store.find(
            tmp_path, f"test-{net.slug}", conditions("test", net, Extraction(
                scales=(LARGE,), precision="fp32", mirror=False)), lengths
        )  # fmt: skip
        assert complete
        ids = list(pictures)
        assert np.array_equal(store.read(path, ids, (LARGE,)), store.read(alone, ids, (LARGE,)))


def test_a_file_names_the_versions_that_wrote_what_it_took_over(tmp_path):
    network = load_network(NARROW)
    options = Extraction(scales=(LARGE,), precision="fp32", device="cpu")
    picture = write_picture(tmp_path / "a.png", SIZES[0])
    wanted = conditions("test", network, options)
    path, _ = store.find(tmp_path, f"test-{network.slug}", wanted, {})
    length, older = picture_bytes(picture), {"torch": "1"}
    with store.FeatureWriter(
        path, wanted, dim=256, file_bytes={"a": length}, weights_name="", versions=older
    ) as writer:
        writer.write(["a"], np.ones((1, 1, 256)), [SIZES[0]], [length])
    options = Extraction(scales=(SMALL, LARGE), precision="fp32", device="cpu")
    both = extract("test", {"a": Path(picture)}, network, options, folder=tmp_path)
    assert store.inspect(both.path).versions == [older, library_versions()]
    assert (stored(both, ["a"], LARGE) == 1).all()


def test_a_users_picture_that_was_written_since_is_not_taken_from_other_files(tmp_path, passes):
    """Not even where all its scales are stored, so that nobody would open it again."""
    path = write_picture(tmp_path / "a.bmp", SIZES[0])
    pictures = {"a": path, "b": write_picture(tmp_path / "b.bmp", SIZES[1])}
    for scale in (SMALL, LARGE):
        run(pictures, tmp_path, scale, may_change=True)
    write_picture(path, SIZES[0], seed=99)
    passes.clear()
    both = run(pictures, tmp_path, SMALL, LARGE, may_change=True)
    assert passes == [SMALL, LARGE] and both.num_new == 2
    anew = run({"a": path}, tmp_path / "anew", SMALL, LARGE)
    np.testing.assert_allclose(
        stored(both, ["a"], SMALL, LARGE), stored(anew, ["a"], SMALL, LARGE), atol=1e-5
    )
