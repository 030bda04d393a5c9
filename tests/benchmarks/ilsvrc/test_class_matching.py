"""`vggfeat evaluate` of nets on pictures of some of their classes: which output is which class."""

import json

import numpy as np
import pytest
from helpers.net_files import CLASSES, write_net
from helpers.pictures import write_classes

from vggfeat.benchmarks.ilsvrc.class_errors import class_errors
from vggfeat.records.record import read_all
from vggfeat.records.scores import read_scores
from vggfeat.report.ilsvrc_tables import numbers
from vggfeat.weights.ilsvrc import wordnet_ids

# WordNet ids with their numbers among ILSVRC's sorted ids, and usual names, as ImageNet's
# documentation has them; not in order, one with two pictures.
SYNSETS = {
    "n03126707": (517, "crane"), "n01443537": (1, "goldfish"), "n02123045": (281, "tabby"),
    "n07753592": (954, "banana"), "n01484850": (2, "great white shark"), "n04254680": (805, ""),
}  # fmt: skip
THOUSAND = [f"class {n}" for n in range(1000)]
NARROW = "vgg11:width=0.0625,input_size=32"


@pytest.fixture(scope="module")
def ilsvrc_net(tmp_path_factory):
    """A net with 1000 outputs whose weights do not name their classes."""
    path = tmp_path_factory.mktemp("net") / "bare.safetensors"
    return f"{NARROW}@{write_net(path, THOUSAND, has_card=False)}"


@pytest.fixture
def evaluate(run, tmp_path):
    """Run `evaluate` on the centre crop, and return its result and the record that it wrote."""

    def evaluate(*nets, data=tmp_path / "data", options=()):
        named = [text for net in nets for text in ("--net", net)]
        result = run(
            "evaluate", *named, "--data", data, "--views", "centre", "--scales", "36", *options,
            "--cache-dir", tmp_path / "cache", "--out", tmp_path / "out", "--quiet",
        )  # fmt: skip
        records = read_all(tmp_path / "out") if result.exit_code == 0 else [None]
        return result, max(records, key=lambda record: record.time if record else "")

    return evaluate


def scores_of(tmp_path, record):
    (path,) = (tmp_path / "out").glob(f"*/*{record.key}.scores.h5")
    return read_scores(path, record.scores_sha256)


def values(record):
    return {name: metric["value"] for name, metric in record.metrics.items()}


def refused(result, *parts):
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    for part in parts:
        assert part in line, line


def test_the_list_is_of_a_thousand_ids_in_order():
    ids = wordnet_ids()
    assert len(set(ids)) == 1000 and list(ids) == sorted(ids)
    assert all(ids[number] == synset for synset, (number, _) in SYNSETS.items())


def test_folders_named_by_wordnet_ids_are_the_outputs_of_these_numbers(
    evaluate, ilsvrc_net, tmp_path
):
    write_classes(tmp_path / "data", dict.fromkeys(SYNSETS, 2))
    result, record = evaluate(ilsvrc_net)
    assert result.exit_code == 0, result.stderr
    scores = scores_of(tmp_path, record)
    assert scores.classes == wordnet_ids() and scores.scores.shape == (12, 1000)
    np.testing.assert_allclose(scores.scores.sum(axis=1), 1, atol=1e-5)  # posteriors among all
    truth = [SYNSETS[i.split("/")[0]][0] for i in scores.ids]
    assert scores.labels.argmax(axis=1).tolist() == truth
    assert record.protocol["classes"] == 1000 and record.protocol["classes_present"] == 6
    assert record.protocol["matched_by"] == "WordNet ids"
    assert "ILSVRC's in the order of their WordNet ids are taken for theirs" in record.notes[1]


def test_both_errors_follow_by_hand_from_the_scores(evaluate, ilsvrc_net, tmp_path):
    write_classes(tmp_path / "data", {name: n + 1 for n, name in enumerate(SYNSETS)})
    _, record = evaluate(ilsvrc_net)
    scores = scores_of(tmp_path, record)
    truth = scores.labels.argmax(axis=1)
    present = [number for number, _ in SYNSETS.values()]
    for top in (1, 5):
        missed = missed_present = 0
        for row, true in zip(scores.scores, truth, strict=True):
            missed += true not in sorted(range(1000), key=lambda k: (-row[k], k))[:top]
            missed_present += true not in sorted(present, key=lambda k: (-row[k], k))[:top]
        assert values(record)[f"top{top}_error"] == missed / len(truth)
        assert values(record)[f"top{top}_error_present"] == missed_present / len(truth)
    assert values(record)["top1_error_present"] < values(record)["top1_error"]
    assert set(record.metrics["top1_error_present"]["per_class"]) == set(SYNSETS)


def test_errors_of_three_pictures_counted_on_paper():
    """Classes a to f; the pictures are of b, d and e, so a, c and f are no answers among these."""
    posteriors = np.array([
        [0.5, 0.3, 0.1, 0.05, 0.05, 0.0],  # of b: second of all, first of b, d, e
        [0.0, 0.2, 0.3, 0.1, 0.25, 0.15],  # of d: fifth of all, third of three
        [0.3, 0.3, 0.2, 0.1, 0.05, 0.05],  # of e: fifth of all, before f, and third of three
    ])  # fmt: skip
    errors = class_errors(posteriors, np.array([1, 3, 4]), "abcdef", {"b", "d", "e"})
    assert {name: error["value"] for name, error in errors.items()} == {
        "top1_error": 1, "top5_error": 0, "top1_error_present": pytest.approx(2 / 3),
    }  # fmt: skip
    assert errors["top1_error_present"]["per_class"] == {"b": 0, "d": 1, "e": 1}


def test_with_less_than_five_classes_present_there_is_no_top_5_error_among_them(
    evaluate, ilsvrc_net, tmp_path
):
    write_classes(tmp_path / "data", dict.fromkeys(list(SYNSETS)[:3], 2))
    result, record = evaluate(ilsvrc_net)
    assert set(record.metrics) == {"top1_error", "top5_error", "top1_error_present"}
    assert "among 3 (%)" in result.stdout and "3 of the nets' 1000 classes" in result.stdout


def test_folders_named_as_in_the_nets_card_are_matched_by_name(evaluate, tmp_path):
    net = write_net(tmp_path / "net.safetensors", [*CLASSES, "gnu", "yak"])
    write_classes(tmp_path / "data", {"yak": 2, "bee": 3, "fox": 1})
    _, record = evaluate(net)
    scores = scores_of(tmp_path, record)
    assert scores.classes == (*CLASSES, "gnu", "yak")
    assert scores.labels.argmax(axis=1).tolist() == [1, 1, 1, 5, 7, 7]
    assert record.protocol["matched_by"] == "names in the net's card"
    assert record.notes == [
        "3 of the 8 classes of the nets are present, matched by names in the net's card"
    ]


def test_usual_english_names_in_any_spelling_are_matched(evaluate, ilsvrc_net, tmp_path):
    counts = {"Goldfish": 1, "great_white-shark": 1, "banana": 1, "n04254680": 1}
    write_classes(tmp_path / "data", counts)
    _, record = evaluate(ilsvrc_net)
    assert scores_of(tmp_path, record).labels.argmax(axis=1).tolist() == [1, 2, 805, 954]
    assert record.protocol["matched_by"] == "WordNet ids and usual English names"


@pytest.mark.parametrize(
    "name, synsets",
    [("crane", "n02012849 and n03126707"), ("Maillot", "n03710637 and n03710721"),
     ("cardigan", "n02113186 and n02963159")],
)  # fmt: skip
def test_a_name_of_two_classes_is_refused(evaluate, ilsvrc_net, tmp_path, name, synsets):
    write_classes(tmp_path / "data", {"goldfish": 1, name: 1})
    refused(evaluate(ilsvrc_net)[0], f"{name!r} is the name of 2 of the classes", synsets)


def test_two_folders_of_one_class_are_refused(evaluate, ilsvrc_net, tmp_path):
    write_classes(tmp_path / "data", {"goldfish": 1, "n01443537": 1, "banana": 1})
    refused(evaluate(ilsvrc_net)[0], "'n01443537' and 'goldfish' are one class", "into one folder")


def test_classes_that_the_net_has_not_are_refused_or_left_out_and_counted(
    evaluate, ilsvrc_net, tmp_path
):
    counts = dict.fromkeys(SYNSETS, 1) | {"n00000001": 3, "gnu-like": 2}
    write_classes(tmp_path / "data", counts)
    parts = "has 8, of which 2 ('gnu-like', 'n00000001') are", "--skip-unknown-classes"
    refused(evaluate(ilsvrc_net)[0], "is a net of 1000 classes", *parts)
    result, record = evaluate(ilsvrc_net, options=["--skip-unknown-classes"])
    assert record.n_test == [6] and record.protocol["classes_present"] == 6
    assert record.protocol["classes_skipped"] == 2
    assert record.protocol["images_skipped_with_them"] == 5
    assert record.notes[1] == (
        "left out: 5 pictures of 2 classes that the nets have not ('gnu-like', 'n00000001')"
    )
    assert "Left out: 5 pictures of 2 classes that the nets have not." in result.stdout


def test_one_class_alone_and_classes_without_a_proof_are_refused(evaluate, ilsvrc_net, tmp_path):
    write_classes(tmp_path / "data", {"kind 1": 1, "kind 2": 1, "goldfish": 1})
    skip = ["--skip-unknown-classes"]
    refused(evaluate(ilsvrc_net, options=skip)[0], "has one class of the 1000")
    write_classes(tmp_path / "none", {f"kind {n}": 1 for n in range(6)})
    for options in ([], skip):
        result, _ = evaluate(ilsvrc_net, data=tmp_path / "none", options=options)
        refused(result, "is a net of 1000 classes, and", "has 6")


def test_the_option_changes_nothing_where_the_classes_are_the_nets(evaluate, tmp_path):
    net = write_net(tmp_path / "net.safetensors")
    write_classes(tmp_path / "data", dict.fromkeys(CLASSES, 1))
    _, usual = evaluate(net)
    _, again = evaluate(net, options=["--skip-unknown-classes"])
    assert again.key == usual.key and set(usual.metrics) == {"top1_error", "top5_error"}
    assert not {"classes_present", "matched_by"} & usual.protocol.keys()


def test_nets_of_other_classes_are_evaluated_apart(evaluate, ilsvrc_net, tmp_path):
    write_classes(tmp_path / "data", dict.fromkeys(SYNSETS, 1))
    same = write_net(tmp_path / "same.safetensors", sorted(SYNSETS))
    more = write_net(tmp_path / "more.safetensors", [*SYNSETS, "n01440764"])
    for net in (same, more):
        refused(evaluate(ilsvrc_net, net)[0], "classes are not the", "each of them alone")
        assert evaluate(net)[0].exit_code == 0


def test_a_fusion_and_its_saved_predictions_have_the_same_errors(
    evaluate, run, ilsvrc_net, tmp_path
):
    other = write_net(tmp_path / "other.safetensors", THOUSAND, has_card=False, seed=3)
    write_classes(tmp_path / "data", dict.fromkeys(SYNSETS, 2))
    nets = f"{ilsvrc_net}+{NARROW}@{other}"
    options = ["--save", tmp_path / "saved", "--limit", "1"]
    _, record = evaluate(nets, options=options)
    assert record.limited and record.n_test == [6]
    (saved,) = (tmp_path / "saved").iterdir()
    again = run("evaluate", "--predictions", saved, "--out", tmp_path / "again", "--format", "json")
    (of_file,) = json.loads(again.stdout)
    assert of_file["metrics"] == record.metrics and of_file["protocol"] == record.protocol


def test_verify_follows_such_a_record_to_its_pictures(
    evaluate, run, ilsvrc_net, tmp_path, monkeypatch
):
    write_classes(tmp_path / "data", dict.fromkeys([*SYNSETS, "gnu-like"], 1))
    options = ["--views", "centre", "--scales", "36", "--skip-unknown-classes"]
    command = ["evaluate", "--net", ilsvrc_net, "--data", str(tmp_path / "data"), *options]
    monkeypatch.setattr("sys.argv", ["vggfeat", *command])  # which the record keeps
    _, record = evaluate(ilsvrc_net, options=options[-1:])
    (path,) = (tmp_path / "out").glob(f"*/*{record.key}.json")
    found = run("verify", path, "--cache-dir", tmp_path / "cache").stdout
    assert "the metrics of the record follow from it" in found
    assert "weights, pictures, splits and settings have its key" in found
    assert "rows computed again differ" in found and "damaged" not in found


def test_such_numbers_stand_apart_from_the_papers_and_are_never_compared(
    evaluate, ilsvrc_net, tmp_path
):
    write_classes(tmp_path / "data", dict.fromkeys(SYNSETS, 1))
    result, record = evaluate(ilsvrc_net)
    assert result.stdout.startswith("data: 6 of the nets' 1000 classes\n")
    assert "published" not in result.stdout and "Table" not in result.stdout
    (table,) = numbers([record])
    lines = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [str(line["metric"]) for line in lines] == list(record.metrics)
    assert {str(line["comparison"]) for line in lines} == {"not comparable"}
    assert "pictures of 6 of the nets' 1000 classes" in str(lines[0]["notes"])


def test_where_all_classes_of_the_net_are_present_only_others_are_left_out(evaluate, tmp_path):
    net = write_net(tmp_path / "net.safetensors")
    write_classes(tmp_path / "data", dict.fromkeys([*CLASSES, "gnu"], 1))
    refused(evaluate(net)[0], "it has 6 classes, there are 7, of which 1 ('gnu') are not")
    _, record = evaluate(net, options=["--skip-unknown-classes"])
    assert set(record.metrics) == {"top1_error", "top5_error"} and record.n_test == [6]
    assert record.protocol["classes_skipped"] == 1
    assert "classes_present" not in record.protocol
