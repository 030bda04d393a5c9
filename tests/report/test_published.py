"""The published numbers are those that were printed, and each names its source."""

import pytest

from vggfeat.errors import RecordError
from vggfeat.report.published import PUBLISHED, read_published, read_rows

# Tables 11 and 12 of the paper, as printed; the stars (other pre-training) are in the names.
TABLE_11 = {
    "Zeiler & Fergus (2013)": {"voc2012": "79.0", "caltech101": "86.5", "caltech256": "74.2"},
    "Chatfield et al. (2014)": {
        "voc2007": "82.4", "voc2012": "83.2", "caltech101": "88.4", "caltech256": "77.6"
    },
    "He et al. (2014)": {"voc2007": "82.4", "caltech101": "93.4"},
    "Wei et al. (2014)": {"voc2007": "81.5", "voc2012": "81.7"},
    "Wei et al. (2014), 2000 classes": {"voc2007": "85.2", "voc2012": "90.3"},
    "Published, 16 layers": {
        "voc2007": "89.3", "voc2012": "89.0", "caltech101": "91.8", "caltech256": "85.0"
    },
    "Published, 19 layers": {
        "voc2007": "89.3", "voc2012": "89.0", "caltech101": "92.3", "caltech256": "85.1"
    },
    "Published, 16 & 19 layers": {
        "voc2007": "89.7", "voc2012": "89.3", "caltech101": "92.7", "caltech256": "86.2"
    },
}  # fmt: skip
TABLE_12 = {
    "Oquab et al. (2014)": {"voc2012_actions_box": "70.2"},
    "Gkioxari et al. (2014)": {"voc2012_actions_box": "73.6"},
    "Hoai (2014)": {"voc2012_actions_box": "76.3"},
    "Published, 16 & 19 layers": {"voc2012_actions": "79.2", "voc2012_actions_box": "84.0"},
}
SPREADS = {"86.5": 0.5, "74.2": 0.3, "88.4": 0.6, "77.6": 0.1, "93.4": 0.5, "91.8": 1.0,
           "85.0": 0.2, "92.3": 0.5, "85.1": 0.3, "92.7": 0.5, "86.2": 0.3}  # fmt: skip


@pytest.mark.parametrize("number, printed", [("Table 11", TABLE_11), ("Table 12", TABLE_12)])
def test_the_papers_tables_are_there_to_the_last_digit(number, printed):
    found = {}
    for row in read_published():
        if row.source == f"Simonyan & Zisserman (2014) {number}":
            found.setdefault(row.method, {})[row.benchmark] = str(row.value)
            with_spread = row.metric == "mean_class_recall"
            assert row.spread == (SPREADS[str(row.value)] if with_spread else None)
    assert found == printed


def test_the_best_shallow_row_is_the_best_of_those_with_the_same_pretraining():
    rows = read_published()
    for best in (row for row in rows if row.kind == "best shallow"):
        others = [
            row
            for row in rows
            if row.benchmark == best.benchmark and row.kind == "earlier"
            and "classes of ILSVRC" not in row.notes
        ]  # fmt: skip
        top = max(row.value for row in others)
        assert best.value == top
        for row in others:
            assert (row.method in best.notes) == (row.value == top)


def test_every_published_number_names_its_source_and_rule():
    for row in read_published():
        assert row.source and row.metric
        assert 0 < row.value < 100
        if row.benchmark.startswith("voc") and row.kind != "best shallow":
            by_rule = row.metric == "map_area" and "FAIR" in row.notes
            assert (
                by_rule
                or "AP rule" in row.notes
                or "logistic" in row.notes
                or (row.source.endswith("Table 12"))
            )


VALUE = str(read_published()[0].value)
HEADER, FIRST = PUBLISHED.read_text(encoding="utf-8").splitlines()[:2]


@pytest.mark.parametrize(
    "line, message",
    [
        (FIRST.partition(",")[0], "line 3: .*more or fewer cells than the header"),
        (FIRST + ",more", "line 3: .*more or fewer cells than the header"),
        ("," * (HEADER.count(",")), "line 3: .*'benchmark' is empty"),
        (FIRST.replace(VALUE, "many"), "line 3: .*could not convert"),
        (FIRST.replace(VALUE, "inf"), "line 3: .*a number is not finite"),
        (b"\xff\xfe", "line 3: .* codec can't decode"),
        ('"' + FIRST, "line 3: "),
    ],
)
def test_a_row_that_is_no_published_number_is_named(tmp_path, line, message):
    path, content = tmp_path / "published.csv", line if isinstance(line, bytes) else line.encode()
    lines = [HEADER.encode(), FIRST.encode()]
    path.write_bytes(b"\n".join([*lines, FIRST.encode()]) + b"\n")
    assert len(read_rows(path)) == 2
    path.write_bytes(b"\n".join([*lines, content]) + b"\n")
    with pytest.raises(RecordError, match=f"published.csv, {message}"):
        read_rows(path)


def test_an_unknown_column_is_named(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(HEADER.replace("metric", "metrik") + "\n" + FIRST + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match="line 2: .*no column 'metrik'"):
        read_rows(path)
