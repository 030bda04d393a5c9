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


# SUITE is the order in which SimCLR, BYOL and CLIP print Kornblith's sets, but for Birdsnap.
SUITE = (
    "food101", "cifar10", "cifar100", "sun397_1", "stanford_cars", "fgvc_aircraft", "voc2007",
    "dtd_1", "oxford_pet", "caltech101", "flowers102",
)  # fmt: skip
MEAN_PER_CLASS = {"fgvc_aircraft", "oxford_pet", "caltech101", "flowers102"}  # SimCLR, B.8.1
PROBES = "logistic regression", "linear layer"


def of_source(source):
    """The rows of a source by method: {benchmark: value}."""
    found = {}
    for row in read_published():
        if row.source == source:
            found.setdefault(row.method.rpartition(", ")[0], {})[row.benchmark] = row.value
    return found


def test_clips_table_is_there_as_another_paper_quotes_it():
    """Yuan et al. (Florence, 2021) Table 2 quotes four of its nets on eleven sets."""
    clip = of_source("Radford et al. (CLIP) Table 10")
    quoted = {
        "SimCLRv2 R152x3 with selective kernels":
            (83.6, 96.8, 84.5, 69.1, 68.5, 63.1, 86.7, 80.5, 92.6, 94.9, 96.3),
        "ViT-L/16, ImageNet-21k":
            (87.4, 97.9, 89.0, 74.9, 62.5, 52.2, 86.1, 75.0, 92.9, 94.7, 99.3),
        "CLIP RN50x64": (94.8, 94.1, 78.6, 81.1, 90.5, 67.7, 88.9, 82.0, 94.5, 95.4, 98.9),
        "CLIP ViT-L/14, 336 pixels":
            (95.9, 97.9, 87.4, 82.2, 91.5, 71.6, 89.9, 83.0, 95.1, 96.0, 99.2),
    }  # fmt: skip
    for method, values in quoted.items():
        assert tuple(clip[method][name] for name in SUITE) == values
    assert len(clip) == 36 and all(len(values) == 17 for values in clip.values())
    assert clip["ResNet-50, released by He et al."] == dict(
        zip(SUITE, (71.3, 91.8, 74.5, 60.5, 49.9, 48.5, 83.8, 72.3, 92.4, 90.8, 90.8), strict=True)
    ) | {"stl10_folds": 96.4, "eurosat": 96.7, "gtsrb": 70.6, "country211": 11.7, "pcam": 82.5,
         "imagenet": 74.3}  # fmt: skip


AVERAGES = {
    "Oquab et al. (DINOv2) Table 8": {
        "OpenCLIP ViT-G/14": 91.9, "MAE ViT-H/14": 78.0, "DINO ViT-B/8": 85.1,
        "iBOT ViT-L/16": 86.6, "DINOv2 ViT-S/14": 87.7, "DINOv2 ViT-B/14": 90.1,
        "DINOv2 ViT-L/14": 91.2, "DINOv2 ViT-g/14": 92.1,
    },
    "Ericsson et al. (2021) Table 1": {
        f"ResNet-50, {name}": average
        for name, average in {
            "InsDis": 62.29, "MoCo v1": 62.41, "PCL v1": 56.73, "PIRL": 63.92, "PCL v2": 69.13,
            "SimCLR": 72.59, "MoCo v2": 72.31, "SimCLRv2": 75.07, "SeLa-v2": 72.09,
            "InfoMin": 72.21, "BYOL": 77.05, "DeepCluster-v2": 78.92, "SwAV": 77.97,
            "torchvision": 73.75,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "source, more_sets, digits",
    [("Oquab et al. (DINOv2) Table 8", {"cub200"}, 1), ("Ericsson et al. (2021) Table 1", (), 2)],
)
def test_the_averages_that_a_table_prints_are_those_of_its_rows(source, more_sets, digits):
    rows = of_source(source)
    assert rows.keys() == AVERAGES[source].keys()
    for method, values in rows.items():
        assert values.keys() == {*SUITE, *more_sets}
        average = sum(values.values()) / len(values)
        assert average == pytest.approx(AVERAGES[source][method], abs=0.6 * 10**-digits)


def test_simclrs_numbers_are_those_that_byol_quotes_of_it():
    """Grill et al. (BYOL) Table 3, the rows "SimCLR [8]" and "Supervised-IN [8]"."""
    quoted = {
        "ResNet-50, SimCLR": (68.4, 90.6, 71.6, 58.8, 50.3, 50.3, 80.5, 74.5, 83.6, 90.3, 91.2),
        "ResNet-50, supervised": (72.3, 93.6, 78.3, 61.9, 66.7, 61.0, 82.8, 74.9, 91.5, 94.5, 94.7),
    }
    own = of_source("Chen et al. (SimCLR) Table B.5")
    by_byol = of_source("Grill et al. (BYOL) Table 3, from SimCLR")
    assert own.keys() == by_byol.keys() == quoted.keys()
    for method, values in quoted.items():
        assert own[method] | by_byol[method] == dict(zip(SUITE, values, strict=True))


def test_byols_own_row_of_its_table_is_byols_alone():
    """The table has two rows of SimCLR: the one that is quoted is not BYOL's repetition of it."""
    values = (75.3, 91.3, 78.4, 62.2, 67.8, 60.6, 82.5, 75.5, 90.4, 94.2, 96.1)
    own = of_source("Grill et al. (BYOL) Table 3")
    assert own == {"ResNet-50, BYOL": dict(zip(SUITE, values, strict=True))}


# The sums of the 36 nets in CLIP's Table 10, after a second reading of all its cells.
SUMS = {
    "food101": 2951.3, "cifar10": 3391.0, "cifar100": 2863.4, "sun397_1": 2479.2,
    "stanford_cars": 2418.1, "fgvc_aircraft": 2060.1, "voc2007": 3097.4, "dtd_1": 2743.1,
    "oxford_pet": 3297.9, "caltech101": 3352.7, "flowers102": 3416.5, "stl10_folds": 3521.6,
    "eurosat": 3493.7, "gtsrb": 2787.4, "country211": 717.6, "pcam": 3034.2, "imagenet": 2818.2,
}  # fmt: skip


def test_clips_columns_have_the_sums_of_a_second_reading():
    rows = of_source("Radford et al. (CLIP) Table 10").values()
    assert {name: round(sum(row[name] for row in rows), 1) for name in SUMS} == SUMS


# DINOv2's Tables 4 and 6: one linear layer of ImageNet's 1,000 classes, on five sets of pictures.
ONE_LAYER = {
    "CLIP ViT-L/14": (84.3, 75.3), "CLIP ViT-L/14, 336 pixels": (85.3, 75.8),
    "SWAG ViT-H/14": (85.7, 77.6), "OpenCLIP ViT-H/14": (84.4, 75.5),
    "OpenCLIP ViT-G/14": (86.2, 77.2, 63.8, 87.8, 66.4), "EVA-CLIP ViT-g/14": (86.4, 77.4),
    "MAE ViT-H/14": (76.6, 64.8, 10.2, 34.4, 21.9), "DINO ViT-S/8": (79.2, 68.2),
    "DINO ViT-B/8": (None, None, 23.9, 37.0, 25.5), "SEERv2 RG10B": (79.8,),
    "MSN ViT-L/7": (80.7, 69.7), "EsViT Swin-B, window 14": (81.3, 70.4),
    "Mugs ViT-L/16": (82.1, 70.8), "iBOT ViT-L/16": (82.3, 72.4, 41.5, 51.0, 38.5),
    "DINOv2 ViT-S/14": (81.1, 70.9, 33.5, 53.7, 41.2),
    "DINOv2 ViT-B/14": (84.5, 75.1, 55.1, 63.3, 50.6),
    "DINOv2 ViT-L/14": (86.3, 78.0, 71.3, 74.4, 59.3),
    "DINOv2 ViT-g/14": (86.5, 78.4, 75.9, 78.8, 62.5),
}  # fmt: skip


def test_dinov2s_numbers_of_imagenet_and_its_other_pictures_are_of_one_layer():
    names = ("imagenet", "imagenet_v2", "imagenet_a", "imagenet_r", "imagenet_sketch")
    found = {method: {} for method in ONE_LAYER}
    for number in (4, 6):
        for method, values in of_source(f"Oquab et al. (DINOv2) Table {number}").items():
            found[method] |= values
    for method, values in ONE_LAYER.items():
        printed = zip(names, values, strict=False)
        assert found[method] == {name: value for name, value in printed if value}
    of_layer = [row for row in read_published() if row.classifier == "linear layer"]
    assert {row.classes for row in of_layer} == {"1000"}


def test_ericssons_lists_of_caltech101_are_not_what_the_paper_says():
    """caltech101-splits/train.txt of linusericsson/ssl-transfer: 2,416 different pictures."""
    for row in read_published():
        if row.source == "Ericsson et al. (2021) Table 1" and row.benchmark == "caltech101":
            assert (row.classes, row.train_per_class) == ("102", "30")
            assert "with replacement: 17 to 30 different ones" in row.notes


def test_later_rows_have_the_metric_of_their_set():
    """Kornblith's as SimCLR states it; of all others accuracy."""
    for row in read_published():
        if row.classifier in PROBES and row.kind == "later":
            expected = "mean_class_recall" if row.benchmark in MEAN_PER_CLASS else "accuracy"
            assert row.metric == ("map_11pt" if row.benchmark == "voc2007" else expected)


def test_a_net_of_timm_is_named_with_the_weights_that_were_measured():
    for row in read_published():
        assert row.network.startswith("timm/") == (row.weights == "timm")
        assert row.weights != "timm" or "." in row.network


def test_no_later_number_is_there_twice():
    later = [row for row in read_published() if row.kind == "later"]
    of_what = {(row.benchmark, row.method, row.metric, row.source) for row in later}
    assert len(of_what) == len(later)


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
