"""Scales that follow from a net's input: small pictures are enlarged to what a net takes."""

import json

import pytest
from helpers.eurosat import write_eurosat
from helpers.pictures import NARROW

from vggfeat import load_network
from vggfeat.benchmarks.scales import OfInput, scales_for
from vggfeat.errors import OptionError
from vggfeat.features import store

WIDER = NARROW.replace("input_size=32", "input_size=64")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_eurosat(root / "eurosat", per_class=6)
    return root


def nets(*names):
    return [load_network(name) for name in names]


def test_the_scale_is_so_many_times_the_nets_input():
    assert scales_for(OfInput(), nets(NARROW)) == (32,)
    assert scales_for(OfInput(1.5), nets(NARROW)) == (48,)
    assert scales_for(OfInput(2), nets(WIDER, f"{WIDER[:-1]}1")) == (128,)
    assert str(OfInput(1.5)) == "1.5 x the net's input"


def test_scales_in_pixels_stay_what_they_are():
    assert scales_for((256, 384), nets(NARROW, WIDER)) == (256, 384)
    assert scales_for((256,), []) == (256,)


@pytest.mark.parametrize("times", [0, -1, float("nan")])
def test_times_is_positive(times):
    with pytest.raises(OptionError, match="times must be larger than 0"):
        OfInput(times)


def test_nets_of_several_inputs_and_no_net_at_all_are_an_error_of_one_line():
    with pytest.raises(OptionError) as error:
        scales_for(OfInput(), nets(NARROW, WIDER))
    text = str(error.value)
    assert "input_size=32 takes 32, vgg11:width=0.0625,input_size=64 takes 64" in text
    assert "Give --scales in pixels" in text and "\n" not in text
    with pytest.raises(OptionError, match="got no net"):
        scales_for(OfInput(), [])


@pytest.fixture
def bench(data, run, tmp_path):
    def bench(*nets, code=0, options=()):
        named = [word for net in nets for word in ("--net", net)]
        result = run("bench", "eurosat", "--limit", 4, "--splits", 1, *named, *options,
                     "--data-dir", data, "--offline", "--out", tmp_path / "out")  # fmt: skip
        assert result.exit_code == code, result.stderr
        paths = sorted((tmp_path / "out").rglob("*.json"))
        return result, [json.loads(path.read_text()) for path in paths]

    return bench


def test_each_net_is_measured_at_its_own_input_and_the_record_says_so(bench):
    result, records = bench(NARROW, WIDER)
    assert "net's input" not in result.stderr  # which is nothing to warn of
    stated = {
        record["nets"][0]["name"]: (record["protocol"]["scales"], record["remarks"])
        for record in records
    }
    assert stated == {
        NARROW.partition("@")[0]: ([32], ["the scale of 32 pixels is 1 x the net's input"]),
        WIDER.partition("@")[0]: ([64], ["the scale of 64 pixels is 1 x the net's input"]),
    }


def test_nets_of_several_inputs_together_need_scales_in_pixels(bench):
    result, records = bench(f"{NARROW}+{WIDER}", code=1)
    assert "the scale is 1 x the net's input" in result.stderr and not records
    _, (record,) = bench(f"{NARROW}+{WIDER}", options=("--scales", "64,96"))
    assert record["protocol"]["scales"] == [64, 96]
    assert not any("net's input" in remark for remark in record.get("remarks", ()))


def test_a_dry_run_plans_each_net_at_its_own_scale(bench):
    result, records = bench(NARROW, WIDER, options=("--dry-run",))
    assert result.stdout.count("40 descriptors to extract") == 2 and not records


def test_extract_stores_what_bench_reads(data, run, bench, home):
    result = run("extract", "--dataset", "eurosat", "--net", NARROW, "--net", WIDER, "--limit", 4,
                 "--data-dir", data, "--offline")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    paths = list(home.rglob("*.h5"))
    assert sorted(tuple(store.inspect(path).conditions.scales) for path in paths) == [(32,), (64,)]
    again, _ = bench(NARROW, WIDER)
    assert list(home.rglob("*.h5")) == paths and "new descriptors" not in again.stderr
