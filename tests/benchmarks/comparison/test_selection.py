"""Which records are meant, and which is compared with which."""

import numpy as np
import pytest
from helpers.records import PAPER_PROTOCOL, net
from helpers.scored import of_classes, write_scored

from vggfeat.benchmarks.comparison.comparison import compared
from vggfeat.benchmarks.comparison.facets import labels_of
from vggfeat.benchmarks.comparison.selection import all_pairs, pairs_of, select
from vggfeat.errors import RecordError, VggfeatError

TRUTH = of_classes([0, 1, 2, 0])
SCORES = np.eye(3)[[0, 1, 2, 1]]


def named(name, weights="w.pth", precision="fp32", layer="fc7"):
    features = {"layer": layer, "precision": precision}
    return {"name": name, "weights": weights, "weights_sha256": "ab", "features": features}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def record(out):
    """A function: write a record of these nets under these settings."""

    def record(*nets, folder=out, scales=(256,), **changes):
        protocol = PAPER_PROTOCOL | {"scales": list(scales)}
        changes = {"probe": {"solver": "newton"}} | changes
        return write_scored(
            folder, TRUTH, SCORES, nets=list(nets), protocol=protocol, **changes
        )  # fmt: skip

    return record


def paths(pairs):
    return [(a.path, b.path) for a, b in pairs]


def test_nets_are_compared_where_all_else_is_the_same(record, out):
    a256, a384 = (record(named("vgg16"), scales=(q,)) for q in (256, 384))
    b256, b384 = (record(named("vgg19"), scales=(q,)) for q in (256, 384))
    pairs = pairs_of(select("vgg16", out), select("vgg19", out))
    assert sorted(paths(pairs)) == sorted([(a256, b256), (a384, b384)])


def test_a_net_is_named_as_in_tables_with_or_without_weights(record, out):
    mine = record(named("vgg16", "mine.pth"))
    other = record(named("vgg16", "other.pth"))
    both = record(named("vgg16", "mine.pth"), named("vgg19"))
    for text, expected in (
        ("vgg16@mine.pth", {mine}),
        ("vgg16@somewhere/else/other.pth", {other}),
        ("somewhere/mine.pth", {mine}),
        ("vgg16", {mine, other}),
        ("vgg16+vgg19", {both}),
        ("vgg16@mine.pth+vgg19@w.pth", {both}),
    ):
        assert {r.path for r in select(text, out).records} == expected, text


@pytest.mark.parametrize("names", [("svm", "knn"), ("knn", "ridge")])
def test_probes(record, out, names):
    probes = {
        "svm": {"solver": "newton"}, "knn": {"probe": "knn", "k": 5}, "ridge": {"probe": "ridge"},
    }  # fmt: skip
    at = {name: record(named("vgg16"), probe=probe) for name, probe in probes.items()}
    pairs = pairs_of(*(select(name, out) for name in names))
    assert paths(pairs) == [(at[names[0]], at[names[1]])]
    assert labels_of(pairs[0]) == list(names)


def test_precisions_solvers_layers_and_any_setting_by_its_name(record, out):
    plain = record(named("vgg16"))
    bf16 = record(named("vgg16", precision="bf16"))
    liblinear = record(named("vgg16"), probe={"solver": "liblinear"})
    layer = record(named("vgg16:layer=pool5", layer="pool5"))
    scales = record(named("vgg16"), scales=(256, 384))
    for a, b, expected in (
        ("bf16", "fp32", bf16),
        ("liblinear", "newton", liblinear),
        ("layer=pool5", "layer=fc7", layer),
        ("scales=256,384", "scales=256", scales),
    ):
        assert paths(pairs_of(select(a, out), select(b, out))) == [(expected, plain)], a


def test_a_record_file_against_a_net_of_the_results_folder(record, out):
    a, b = record(named("vgg16")), record(named("vgg19"))
    assert paths(pairs_of(select(str(a), out), select("vgg19", out))) == [(a, b)]


def test_two_folders_give_pairs_that_agree_in_most_settings(record, out, tmp_path):
    new = tmp_path / "new"
    old_pairs = [record(named(name)) for name in ("vgg16", "vgg19")]
    new_pairs = [record(named(name, precision="bf16"), folder=new) for name in ("vgg16", "vgg19")]
    pairs = pairs_of(select(str(out), out), select(str(new), out))
    assert sorted(paths(pairs)) == sorted(zip(old_pairs, new_pairs, strict=True))
    # The folder of one benchmark is a folder of records, too.
    within = pairs_of(select(str(out / "caltech101"), out), select(str(new / "caltech101"), out))
    assert sorted(paths(within)) == sorted(paths(pairs))


def test_views_and_scales_of_evaluate(record, out):
    ilsvrc = {"benchmark": "ilsvrc_classification", "metric": "top1_error", "probe": {}}

    def evaluated(name, s, scales, view):
        of_net = [net(name, s, scales)]
        protocol = {"view": view, "classes": 3, "images": 4, "set": "val"}
        return write_scored(out, TRUTH, SCORES, nets=of_net, protocol=protocol, **ilsvrc)

    at = {
        (name, view, len(scales)): evaluated(name, s, scales, view)
        for name, s, every in (("vgg16", "256", (224, 256, 288)), ("vgg19", "384", (352, 384, 416)))
        for scales in (every[1:2], every)
        for view in ("dense", "crops")
    }
    pairs = paths(pairs_of(select("vgg16", out), select("vgg19", out)))
    assert sorted(pairs) == sorted(
        (at["vgg16", view, n], at["vgg19", view, n]) for view in ("dense", "crops") for n in (1, 3)
    )


def test_every_two_records_of_the_same_test_set(record, out):
    for name in ("vgg13", "vgg16", "vgg19"):
        record(named(name))
    record(named("vgg16"), splits_sha256="cd" * 32)
    record(named("vgg16"), benchmark="caltech256")
    assert len(all_pairs(select(str(out), out).records)) == 3


def test_few_examples_come_first(record, out):
    for shots, digest in (({"shots": 4}, "04"), ({}, "ff"), ({"shots": 1}, "01")):
        for name in ("vgg16", "vgg19"):
            protocol = PAPER_PROTOCOL | {"scales": [256]} | shots
            write_scored(
                out, TRUTH, SCORES, nets=[named(name)], protocol=protocol,
                probe={"solver": "newton"}, splits_sha256=digest * 32,
            )  # fmt: skip
    pairs = pairs_of(select("vgg16", out), select("vgg19", out))
    in_order = sorted(pairs, key=lambda pair: pair[0].place)
    titles = [compared([pair])[0].pictures.title for pair in in_order]
    assert titles == ["Caltech-101, 1 shot", "Caltech-101, 4 shots", "Caltech-101"]


def test_labels_name_what_differs(record, out, tmp_path):
    record(named("vgg16"))
    record(named("vgg19", precision="bf16"), scales=(256, 384))
    record(named("vgg16", "other.pth"))
    everything = sorted(labels_of(select(str(out), out).records))
    assert everything == [
        "vgg16@other.pth, scales 256, precision fp32",
        "vgg16@w.pth, scales 256, precision fp32",
        "vgg19, scales 256 384, precision bf16",
    ]
    same = [record(named("vgg11"), folder=tmp_path / name) for name in ("a", "b")]
    assert labels_of(
        pairs_of(*(select(str(tmp_path / name), out) for name in ("a", "b")))[0]
    ) == list(map(str, same))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vgg18", r"Unknown net, probe or setting .*'vgg18'\. Did you mean 'vgg1[69]'\? Known: .*"),
        ("knn", "Unknown .*'knn'.* Known: fp32, newton, svm, vgg16, vgg19"),
        ("layer=fc9", "Unknown .*'layer=fc9'"),
        ("nowhere/of/that/name", "no such record or folder, and no net of"),
        ("nothing.json", "nothing.json: cannot be read"),
    ],
)
def test_a_selector_that_means_nothing(record, out, text, message):
    record(named("vgg16"))
    record(named("vgg19"))
    with pytest.raises(VggfeatError, match=message):
        select(text, out)


def test_a_folder_without_records_and_no_results_at_all(tmp_path, out):
    with pytest.raises(RecordError, match="holds no records"):
        select(str(tmp_path), out)
    with pytest.raises(RecordError, match="'vgg16': no such record or folder; .* --out"):
        select("vgg16", out)


def test_a_folder_without_records_does_not_hide_the_net_of_its_name(
    record, out, tmp_path, monkeypatch
):
    (tmp_path / "vgg16").mkdir()
    monkeypatch.chdir(tmp_path)
    of_net = record(named("vgg16"))
    assert [r.path for r in select("vgg16", out).records] == [of_net]


def test_what_does_not_fit_or_fits_too_well_is_said(record, out, tmp_path):
    record(named("vgg16"))
    record(named("vgg19"), splits_sha256="cd" * 32)
    record(named("vgg13"), benchmark="caltech256")
    mixed = [record(named("vgg11"), scales=(q,)) for q in (384, 512)]

    def message(a, b):
        with pytest.raises(RecordError) as error:
            pairs_of(select(a, out), select(b, out))
        return str(error.value)

    assert "the same: there is nothing to compare" in message("vgg16", "vgg16")
    assert "other benchmarks (caltech101; caltech256)" in message("vgg11", "vgg13")
    assert "caltech101 with other splits or test pictures" in message("vgg11", "vgg19")
    several = message("vgg16", "vgg11")
    assert "fit each other equally well. Name two of these" in several
    assert all(str(path) in several for path in mixed)
