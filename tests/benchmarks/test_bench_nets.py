"""`vggfeat.bench`: what the command line measures, from Python."""

from pathlib import Path

import pytest
from helpers.pictures import NARROW, write_classes

import vggfeat
from vggfeat import VggfeatError, bench
from vggfeat.backbones.spec import NetSpec
from vggfeat.benchmarks.bench_nets import BenchOptions
from vggfeat.benchmarks.options import measurement_options
from vggfeat.layouts.options import DataOptions
from vggfeat.options import declarations

OTHER = NARROW.replace("random:0", "random:1")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return write_classes(tmp_path_factory.mktemp("own") / "pets", {"cat": 12, "dog & <i>": 12})


def is_same(records, others) -> bool:
    """Whether they are the same measurements, made once."""
    return [(r.key, r.time) for r in records] == [(r.key, r.time) for r in others]


@pytest.fixture
def small(tmp_path, monkeypatch) -> dict:
    """Arguments by which it is measured in a second; the current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    return {"scales": 32, "cache_dir": "cache", "num_splits": 2}


def test_every_option_of_the_command_line_is_an_argument():
    declared = {*measurement_options(), *declarations(DataOptions)}
    named = {"scales", "probe", "shots"}  # arguments of their own, two of them for several values
    assert declared - named == BenchOptions.__annotations__.keys()


def test_records_come_back_as_a_table_and_a_frame(pictures, small):
    results = bench(pictures, [NARROW, f"{NARROW}+{OTHER}"], probes=["svm", "knn"], **small)
    assert len(results) == 4 and [record.limited for record in results] == [False] * 4
    assert list(Path("results/pets").glob("*.json")) and results.out == Path("results")
    order = ["method", "probe", "metric"]
    frame, of_folder = (
        frame.sort_values(order, ignore_index=True)
        for frame in (results.to_frame(), vggfeat.read_results("results"))
    )
    assert len(frame) == 8 and frame.equals(of_folder)
    text, html = repr(results), results._repr_html_()
    for label in (NARROW, f"{NARROW}+{OTHER}"):
        assert label in text and label in html
    assert html.startswith("<") and len(results.table().rows) == 4


def test_the_command_line_finds_what_python_measured(pictures, small, run):
    results = bench(pictures, NARROW, **small)
    common = ["--net", NARROW, "--scales", 32, "--cache-dir", "cache", "--splits", 2]
    result = run("bench", pictures, *common)
    assert "measured already" in result.stderr
    assert len(list(Path("results/pets").glob("*.json"))) == 1
    (record,) = bench([str(pictures)], nets=[NARROW], **small)
    assert is_same([record], results)


def test_nets_may_be_text_a_spec_or_loaded(pictures, small):
    network = vggfeat.load_network(NARROW)
    for net in (NetSpec.parse(NARROW), [NARROW], network, [network]):
        (record,) = bench(pictures, net, **small)
        assert record.method == NARROW
    fused = [(network, OTHER), f"{NARROW}+{OTHER}"]
    (record,) = bench(pictures, fused[:1], **small)
    assert is_same(bench(pictures, fused, **small), [record])
    assert len(list(Path("results/pets").glob("*.json"))) == 2


def test_nets_may_have_names_for_tables(pictures, small):
    """As by `--net NAME=SPEC`; measured under another name or none, it is the same record."""
    network = vggfeat.load_network(OTHER)
    nets = {"my net": NARROW, "loaded": network, "both": (NARROW, OTHER)}
    results = bench(pictures, nets, **small)
    assert [record.name for record in results] == [*nets]
    first_cells = [line.split("  ")[0] for line in repr(results).splitlines()]
    assert {"my net", "loaded", "both"} <= {*first_cells}
    assert is_same(bench(pictures, NARROW, **small), results.records[:1])
    assert "{'my net': " in results.records[0].command
    for taken in ({"vgg16": NARROW}, {"a:b": NARROW}, {"a": NARROW, "b": NARROW}):
        with pytest.raises(VggfeatError, match="is a net itself|is no name|are the same net"):
            bench(pictures, taken, **small)


def test_one_scale_or_several_alike(pictures, small):
    one = bench(pictures, NARROW, **small)
    listed = bench(pictures, NARROW, **small | {"scales": [32]})
    assert is_same(listed, one)


def test_shots_and_sweeps_have_tables_of_their_own(pictures, small):
    assert "1 " in repr(bench(pictures, NARROW, shots=[1, None], **small)).splitlines()[2]
    swept = bench(pictures, NARROW, sweep="mirror", **small)
    assert len(swept) == 2 and "mirror" in repr(swept)


def test_a_record_says_how_it_was_asked_for(pictures, small):
    (record,) = bench(pictures, vggfeat.load_network(NARROW), probes="knn", **small)
    told = (
        f"vggfeat.bench([{str(pictures)!r}], [{NARROW!r}], probes='knn', scales=32, num_splits=2)"
    )
    assert record.command == told
    assert repr(record).startswith(f"<Record: pets, {NARROW}, mean_class_recall ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 32}, "Unknown argument of bench 'scale'. Did you mean 'scales'"),
        ({"nets": []}, "bench takes nets=, such as 'vgg16'; got none"),
        ({"nets": "vgg61"}, "Did you mean 'vgg16'"),
        ({"benchmarks": "digit"}, "Did you mean 'digits'"),
        ({"scales": 16}, "scale 16 is too small"),
        ({"probes": "svn"}, "probe must be one of"),
        ({"nets": vggfeat.load_network(NARROW), "sweep": "relu"}, "name them by text"),
    ],
)
def test_what_is_mistyped_is_one_line(pictures, small, arguments, message):
    with pytest.raises(VggfeatError, match=message) as error:
        bench(**{"benchmarks": pictures, "nets": NARROW} | small | arguments)
    assert "\n" not in str(error.value)


def test_a_failure_is_raised_once_the_others_are_measured(pictures, small):
    Path("b").mkdir()
    write_classes(Path("b/broken"), {"cat": 6, "dog": 6})
    Path("b/broken/cat/image_0001.jpg").write_bytes(b"no picture")
    with pytest.raises(VggfeatError, match=r"1 failed, 1 measured, which are kept in results: b"):
        bench(["b/broken", pictures], NARROW, **small)
    assert len(list(Path("results").glob("*/*.json"))) == 1


def test_results_show_themselves_in_a_notebook_as_text_not_markup(pictures, small, tmp_path):
    bench(pictures, [NARROW, OTHER], **small)
    comparison = vggfeat.compare(*Path("results/pets").glob("*.json"))
    html = comparison._repr_html_()
    assert "<table>" in html and str(comparison).partition(" (")[0] in html
    picture = pictures / "dog & <i>" / "image_0001.jpg"
    Path("<b>.jpg").write_bytes(b"no picture")
    options = vggfeat.Extraction(scales=32, on_error="skip")
    named = {"a": picture, "<b>": "<b>.jpg"}
    extracted = vggfeat.extract("mine", named, NARROW, options, folder="<i>features")
    html = extracted._repr_html_()
    assert "skipped: &lt;b&gt;" in html and "<b>" not in html and "<i>" not in html
