"""The report of records made by hand: what it says, what it cannot show, and what stays text."""

import re

import numpy as np
import pytest
from helpers.html_pages import check_sound
from helpers.pictures import write_classes
from helpers.records import classified, make_record, net, transfer_net
from helpers.scored import of_classes, write_scored

from vggfeat.benchmarks.report.read import results_in
from vggfeat.benchmarks.report.report import SECTIONS, report
from vggfeat.errors import RecordError, UnknownNameError
from vggfeat.records import record as records
from vggfeat.report.page.html import page_html
from vggfeat.report.results import Results

TRUTH = np.arange(60) % 3


def scores_with(num_wrong):
    """Scores [60, 3] that are right but for the first rows."""
    scores = np.where(of_classes(TRUTH) > 0, 1.0, 0.0)
    scores[:num_wrong] = np.roll(scores[:num_wrong], 1, axis=1)
    return scores + np.arange(60)[:, None] / 1000


def page_of(folder, **options):
    """The HTML of the report of a folder, seen to be sound, and its text."""
    html = page_html(report(results_in([folder]), **options))
    return html, check_sound(html)


def words(page):
    return " ".join(page.text.split())


def test_the_best_net_is_named_with_the_next_and_the_published_number(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(2), net="vgg16")
    write_scored(tmp_path, of_classes(TRUTH), scores_with(30), net="vgg19")
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "Best: vgg16 on Caltech-101. Next net: difference seen on Caltech-101." in text
    assert "vgg16 is best: 96.7 % mean class recall" in text
    assert "Difference seen: vgg19, 50.0 %; 46.7 points (" in text
    assert "91.8 % is published for this net, here +4.9 points, more than the spread" in text


def test_equal_nets_are_not_told_apart(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(10), net="vgg16")
    write_scored(tmp_path, of_classes(TRUTH), scores_with(11), net="vgg19")
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "No difference seen: vgg19, 81.7 %; 1.7 points" in text


def test_nets_with_the_same_number_are_both_named_and_bold(tmp_path):
    for net_name in ("vgg16", "vgg19"):
        write_scored(tmp_path, of_classes(TRUTH), scores_with(10), net=net_name)
    html, page = page_of(tmp_path, only=["comparison"])
    text = words(page)
    assert "Best: vgg16 and vgg19 on Caltech-101. Next net: no difference seen" in text
    assert "vgg16 and vgg19 are equal: 83.3 %" in text
    assert html.partition("<tbody>")[2].partition("</tbody>")[0].count("<strong>") == 2


def test_a_difference_that_is_seen_is_not_printed_as_none(tmp_path):
    truth = np.arange(6000) % 3
    for net_name, wrong in (("vgg16", 0), ("vgg19", 7)):
        scores = np.where(of_classes(truth) > 0, 1.0, 0.0)
        scores[:wrong] = np.roll(scores[:wrong], 1, axis=1)
        write_scored(tmp_path, of_classes(truth), scores, net=net_name)
    text = words(page_of(tmp_path, only=["comparison"])[1])
    low = re.search(r"Difference seen: vgg19, 99.9 %; 0.12 points \(0.0(\d) to", text)
    assert low and low[1] != "0"


def test_too_few_pictures_of_several_labels_show_no_difference(tmp_path):
    labels = np.array([[1, -1], [1, 1], [-1, 1], [-1, -1]])
    for net_name, scores in (("vgg16", labels), ("vgg19", -labels)):
        write_scored(
            tmp_path, labels, scores + 0.1 * np.arange(4)[:, None], net=net_name, metric="map_area",
            classes=("ant", "bee"),
        )  # fmt: skip
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "No difference seen: vgg19" in text and "with 4 test pictures, but 6 are needed" in text


def test_where_the_other_is_better_on_the_pictures_that_both_have_it_is_said(tmp_path):
    ids = [f"{n:04d}.jpg" for n in range(60)]
    part = slice(0, 40)
    write_scored(tmp_path, of_classes(TRUTH), scores_with(20), net="vgg16", ids=ids)
    write_scored(
        tmp_path, of_classes(TRUTH)[part], scores_with(14)[part], net="vgg19", ids=ids[part],
        skipped=dict.fromkeys(ids[40:], "broken"),
    )  # fmt: skip
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "Next net: difference seen, the other way round on Caltech-101." in text


def test_scores_that_do_not_fit_their_record_are_named_without_the_machines_folders(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(2), net="vgg16")
    write_scored(
        tmp_path, of_classes(TRUTH), scores_with(9), net="vgg19",
        metrics={"mean_class_recall": {"value": 0.6, "spread": None}},
    )  # fmt: skip
    html, page = page_of(tmp_path, only=["comparison", "pairs"])
    assert "is 0.600000, and 0.85" in words(page)
    assert str(tmp_path) not in html


def test_why_a_number_is_not_comparable_is_one_click_away(tmp_path):
    protocol = make_record().protocol | {"classes": 6}
    write_scored(tmp_path, of_classes(TRUTH), scores_with(2), protocol=protocol)
    html, page = page_of(tmp_path, only=["comparison"])
    assert "Not comparable: classes 6, published 102; 91.8 % is published for this net" in words(
        page
    )
    folded = html.partition("<summary>Why not comparable</summary>")[2].partition("</details>")[0]
    assert "<p>classes 6, published 102.</p>" in folded


def test_the_same_records_give_the_same_bytes(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(2))
    html, page = page_of(tmp_path)
    assert page_of(tmp_path)[0] == html
    assert "the latest is of 2026-01-01 00:00 UTC" in page.text  # the record's time, not today's


def test_names_with_markup_control_characters_and_turned_writing_stay_text(tmp_path):
    odd = "<img src=x onerror=alert(1)>\x1b[31m\u202egpj.exe"
    write_scored(
        tmp_path, of_classes(TRUTH), scores_with(9),
        net=odd, title=f"<b>{odd}</b>", benchmark="odd", classes=("<script>", "&amp;", "\u200f"),
        notes=[f"</details>{odd}"], remarks=[odd], command=f"vggfeat '{odd}'",
        skipped={f"{odd}.jpg": odd}, ids=[f"{n}{odd}" for n in range(60)],
        protocol=make_record().protocol | {"<u>": odd},
    )  # fmt: skip
    html, page = page_of(tmp_path, title=f"</title><script>{odd}")
    assert "<script" not in html and "<img" not in html and "<b>&lt;b&gt;" not in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e]", html)
    assert r"\x1b[31m\u202egpj.exe" in page.text


def test_characters_that_no_page_may_hold_and_names_of_blanks_alone(tmp_path):
    odd = "\ufeff\uffff"
    write_scored(
        tmp_path, of_classes(TRUTH), scores_with(9), net=odd, title=" ", benchmark="nameless",
        classes=(odd, "", " "),
    )  # fmt: skip
    html, page = page_of(tmp_path)
    assert r"\ufeff\uffff" in page.text and not set(odd) & set(html)
    assert "nameless" in [text for _, text in page.headings]


def test_benchmarks_whose_names_make_the_same_file_name_keep_their_figures_apart(tmp_path):
    for benchmark in ("a b", "a_b"):
        write_scored(
            tmp_path, of_classes(TRUTH), scores_with(9), benchmark=benchmark, title=benchmark,
            key="ab" * 8,
        )  # fmt: skip
    _, page = page_of(tmp_path)  # in which check_sound wants every id once
    assert [text for _, text in page.headings].count("Class by class") == 2


def test_one_record_without_scores_says_what_is_missing_where_it_would_be(tmp_path):
    records.write(make_record(), tmp_path)
    _, page = page_of(tmp_path)
    text = words(page)
    assert "Measured alone: vgg16 on Caltech-101." in text
    assert "vgg16 alone was measured: 91.8 %" in text
    assert "Measured alone: vgg16 on Caltech-101. Published: same protocol" in text
    assert "Best: " not in text  # of one
    assert "Same protocol: 91.8 % is published for this net, here +0.0 points, within the" in text
    assert "precision-recall curves and confusions cannot be drawn" in text
    assert "so none can be ranked" in text
    assert "Every two compared" not in text


def test_two_records_of_which_one_lacks_scores_are_not_tested(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(9), net="vgg19")
    records.write(make_record(splits_sha256="ab" * 32), tmp_path)
    text = words(page_of(tmp_path)[1])
    assert "Not tested: vgg19, 85.0 %; no scores of the test pictures lie beside" in text
    assert "1 of 2 results are not compared" in text


def test_where_the_best_results_lack_scores_those_that_have_them_are_tested(tmp_path):
    for net_name, best in (("vgg16", 0.99), ("vgg19", 0.98)):
        write_scored(tmp_path, of_classes(TRUTH), scores_with(9), net=net_name)
        records.write(
            make_record(
                key=net_name.ljust(16, "0"), nets=[transfer_net(net_name)],
                metrics={"mean_class_recall": {"value": best, "spread": None}},
                splits_sha256="ab" * 32, protocol=make_record().protocol | {"scales": [256]},
            ),
            tmp_path,
        )  # fmt: skip
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "No difference seen: vgg19, 98.0 %; of their results that have scores, 85.0 and" in text


def test_a_part_of_the_pictures_is_never_shown_as_the_whole(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(0), limited=True)
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "alone was measured, LIMITED to a part of the pictures: 100.0 %" in text
    assert "Not comparable" in text


def test_the_best_of_the_papers_nets_is_not_called_the_best_published(tmp_path):
    """Caltech-101 has 93.4 % of shallow nets, which the table beside it shows."""
    write_scored(tmp_path, of_classes(TRUTH), scores_with(0), net="squeezenet1_0")
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "of the paper's nets the best, 16 & 19 layers, have 92.7 %" in text


def test_few_examples_stand_apart_from_all(tmp_path):
    for shots, wrong in ((1, 40), (4, 20), (None, 6)):
        few = {"shots": shots, "train_per_class": shots} if shots else {}
        write_scored(
            tmp_path, of_classes(TRUTH), scores_with(wrong), splits_sha256=f"{shots}",
            protocol=make_record().protocol | few,
        )  # fmt: skip
    text = words(page_of(tmp_path)[1])
    assert "vgg16 alone was measured: 90.0 %" in text  # not those of 1 and of 4 pictures a class
    assert "by training pictures a class" in text


def test_257_classes_and_several_splits_fit_on_a_page(tmp_path):
    size = 257
    labels = np.where(np.tile(np.eye(size), (2, 1)) > 0, 1, -1)
    scores = np.random.default_rng(0).normal(0, 0.3, labels.shape) + (labels > 0)
    classes = [f"{number:03d}.class-of-pictures" for number in range(size)]
    per_class = {
        name: float(value) for name, value in zip(classes, np.linspace(0, 1, size), strict=True)
    }
    right = (scores.argmax(axis=1) == np.tile(np.arange(size), 2)).reshape(2, size).mean(axis=1)
    write_scored(
        tmp_path, labels, scores, splits=np.repeat([0, 1], size), classes=classes,
        ids=[f"{n}" for n in range(2 * size)],
        metrics={"mean_class_recall": {"value": float(right.mean()), "spread": 0.1,
                                       "per_class": per_class}},
    )  # fmt: skip
    html, page = page_of(tmp_path, only=["classes"])
    assert "000.class-of-pictures" in page.text and "256.class-of-pictures" in page.text
    assert "what is taken for what" in page.text
    assert len(html) < 500_000


@pytest.fixture
def own(tmp_path):
    """A folder of own pictures, and the results of a net on them."""
    folder = write_classes(tmp_path / "pets", {"ant": 4, "bee": 4, "cat": 4})
    ids = [f"{name}/image_{n:04d}.jpg" for name in ("ant", "bee", "cat") for n in (1, 2, 3, 4)]
    truth = np.repeat(np.arange(3), 4)
    scores = np.where(of_classes(truth) > 0, 1.0, 0.0)
    scores[0] = [0, 1, 0]
    protocol = {"version": 1, "own": True, "classes": 3, "images": 12}
    write_scored(
        tmp_path / "out", of_classes(truth), scores,
        ids=ids, benchmark="pets", title="pets", protocol=protocol,
    )  # fmt: skip
    return folder


def test_own_pictures_are_ranked_on_sheets_with_their_mistakes(own, tmp_path):
    html, page = page_of(tmp_path / "out", own_pictures=[own])
    assert "Nothing to compare with: own pictures: no published number to compare with" in page.text
    assert html.count("<img ") == 12  # 11 right ones and the mistake
    assert 'alt="1: taken for bee, really ant"' in html
    assert "Wrong: none" in page.text  # of ants and cats


def test_a_class_that_was_not_trained_has_no_sheet(own, tmp_path):
    scores = np.where(of_classes(np.repeat(np.arange(3), 4)) > 0, 1.0, 0.0)
    scores[:, 2] = np.nan
    ids = [f"{name}/image_{n:04d}.jpg" for name in ("ant", "bee", "cat") for n in (1, 2, 3, 4)]
    write_scored(
        tmp_path / "untrained", of_classes(np.repeat(np.arange(3), 4)), scores, metric="map_area",
        ids=ids, benchmark="pets", title="pets", protocol={"version": 1, "own": True},
    )  # fmt: skip
    _, page = page_of(tmp_path / "untrained", own_pictures=[own], only=["pictures"])
    assert [text for level, text in page.headings if level == 4] == ["ant", "bee"]


def test_pictures_that_are_not_at_hand_are_said_to_be_lacking(own, tmp_path):
    html, page = page_of(tmp_path / "out", data_dir=tmp_path / "data")
    assert "<img " not in html
    assert "The pictures of pets are not at hand: name their folder or list with --pictures" in (
        words(page)
    )


def test_pictures_of_a_benchmark_that_are_not_at_hand_name_no_folder_of_this_machine(tmp_path):
    write_scored(tmp_path / "out", of_classes(TRUTH), scores_with(2))
    html, page = page_of(tmp_path / "out", data_dir=tmp_path / "data", only=["pictures"])
    assert "not at hand: name the folder of the datasets with --data-dir" in words(page)
    assert str(tmp_path) not in html


def test_pictures_beyond_the_budget_are_counted(own, tmp_path, monkeypatch):
    monkeypatch.setattr("vggfeat.benchmarks.report.sheets.BUDGET", 5000)
    html, page = page_of(tmp_path / "out", own_pictures=[own])
    assert 0 < html.count("<img ") < 12
    assert "of 3 classes are left out: the pictures of a benchmark take at most 5 kB" in words(page)


def test_nets_on_ilsvrc_have_a_verdict_and_the_papers_tables(tmp_path):
    for record in (
        classified(key="a" * 16), classified(net(s="384", scales=(384,)), top1=0.25, key="b" * 16),
    ):  # fmt: skip
        records.write(record, tmp_path)
    text = words(page_of(tmp_path)[1])
    assert "vgg16@vgg16-384 is best: 25.0 % top-1 error" in text
    assert "Table 3: one scale" in text


def test_of_errors_the_lower_is_better(tmp_path):
    protocol = classified().protocol
    for name, wrong in (("vgg16", 10), ("vgg19", 40)):
        errors = {"value": wrong / 60, "spread": None, "per_split": [wrong / 60], "per_class": {}}
        write_scored(
            tmp_path, of_classes(TRUTH), scores_with(wrong), benchmark="ilsvrc_classification",
            metric="top1_error", metrics={"top1_error": errors, "top5_error": errors},
            nets=[net(name)], protocol=protocol,
        )  # fmt: skip
    text = words(page_of(tmp_path, only=["comparison"])[1])
    assert "vgg16 is best: 16.7 % top-1 error" in text
    assert "Difference seen: vgg19, 66.7 %; 50.0 points" in text


def test_every_number_leads_to_its_protocol_and_command(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(2), notes=["one odd thing"])
    html, page = page_of(tmp_path)
    (target,) = set(re.findall(r'href="#(record-[^"]*)"', html))
    place = html[html.index(f'id="{target}"') :]
    assert "<code>vggfeat bench caltech101</code>" in place and "one odd thing." in place
    assert f'href="#{target}"' not in page_of(tmp_path, only=["comparison"])[0]


@pytest.mark.parametrize("name", SECTIONS)
def test_each_section_alone_is_a_sound_page(tmp_path, name):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(2), net="vgg16")
    write_scored(tmp_path, of_classes(TRUTH), scores_with(5), net="vgg19", seconds={"fit": 3.0})
    records.write(classified(), tmp_path)
    if name == "training":
        with pytest.raises(RecordError, match="nothing to show in training.*--runs"):
            report(results_in([tmp_path]), only=[name])
    else:
        page_of(tmp_path, only=[name])


def test_an_unknown_section_is_an_error_that_lists_them():
    with pytest.raises(UnknownNameError, match="Did you mean 'pairs'.*comparison, classes"):
        report(Results(), only=["pair"])


def test_a_net_is_called_by_the_name_that_its_user_gave_it(tmp_path):
    write_scored(tmp_path, of_classes(TRUTH), scores_with(2), net="vgg16", name="our net")
    write_scored(tmp_path, of_classes(TRUTH), scores_with(30), net="vgg19")
    text = words(page_of(tmp_path, only=["comparison", "pairs"])[1])
    assert "our net is best: 96.7 %" in text


def test_nets_are_called_with_their_weights_only_where_these_differ(tmp_path):
    for weights, value in (("a.safetensors", 0.5), ("b.safetensors", 0.6)):
        records.write(
            make_record(
                key=weights[0] * 16, nets=[transfer_net("squeezenet1_0", weights)],
                metrics={"mean_class_recall": {"value": value, "spread": None}},
            ),
            tmp_path,
        )  # fmt: skip
    records.write(make_record(), tmp_path)
    _, page = page_of(tmp_path, only=["comparison"])
    assert "vgg16 is best" in words(page) and "squeezenet1_0@b, 60.0 %" in words(page)
