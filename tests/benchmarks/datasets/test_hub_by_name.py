"""`hf:OWNER/NAME`: a dataset of the Hugging Face hub, from a server here that speaks its HTTP."""

import io
import json
import sys
import tarfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from helpers.hub import served_hub
from helpers.pictures import NARROW, write_classes
from PIL import Image

datasets = pytest.importorskip("datasets")
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from huggingface_hub import constants  # noqa: E402

from vggfeat import load_benchmark  # noqa: E402
from vggfeat.benchmarks.datasets import registry  # noqa: E402
from vggfeat.benchmarks.multi_label import MultiLabel  # noqa: E402
from vggfeat.benchmarks.sources import hub_dataset  # noqa: E402
from vggfeat.errors import DatasetError, DownloadError  # noqa: E402
from vggfeat.images import decode, picture_content  # noqa: E402
from vggfeat.storage.folders import Folders  # noqa: E402

FIRST, SECOND = "1" * 40, "2" * 40  # commits
NAMES = ["ant", "bee", "cat"]
REPOSITORY = "someone/Tiny-Set"


class Published:
    """Repositories on the server, each a folder for each commit; `places` is where ours goes."""

    def __init__(self, folder: Path):
        self.folder, self.repositories, self.asked = folder, {}, []
        self.places = Folders(folder / "data", folder / "cache")

    def commit(self, sha: str = FIRST, repository: str = REPOSITORY) -> Path:
        """A new commit's folder, empty."""
        root = self.folder / "repositories" / repository / sha
        root.mkdir(parents=True)
        self.repositories.setdefault(repository, []).append((sha, root))
        return root

    def tables(self, features, splits, sha=FIRST):
        """A commit with a Parquet file for each split: name -> rows."""
        root = self.commit(sha)
        for name, rows in splits.items():
            table = datasets.Dataset.from_list(rows, features=datasets.Features(features))
            (root / "data").mkdir(exist_ok=True)
            table.to_parquet(root / "data" / f"{name}-00000-of-00001.parquet")

    def load(self, keys="", **options):
        return load_benchmark(f"hf:{REPOSITORY}{keys}", places=self.places, **options)

    def refusal(self, keys=""):
        with pytest.raises((DatasetError, DownloadError)) as error:
            self.load(keys)
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registry, "_from_paths", {})
    published = Published(tmp_path)
    with served_hub(published.repositories) as (url, published.asked):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", url)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf" / "datasets")
        downloads = tmp_path / "hf" / "downloads"
        monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", downloads)
        datasets.disable_progress_bars()
        yield published


def picture(seed, mode="RGB"):
    """Bytes of a PNG of soft colours."""
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((20, 16)).convert(mode).save(file, "PNG")
    return file.getvalue()


def rows(count, seed=0, names=NAMES, column="label", value=lambda k: k):
    """So many pictures of each class, as Parquet holds them."""
    return [
        {"image": {"bytes": picture([seed, k, n]), "path": f"{n}.png"}, column: value(k)}
        for k in range(len(names))
        for n in range(count)
    ]


FEATURES = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
TWO_SPLITS = {"train": rows(4), "test": rows(2, seed=1)}


# From a name to pictures and labels


def test_pictures_lie_in_the_tables_with_the_names_of_their_classes(hub):
    hub.tables(FEATURES, TWO_SPLITS)
    benchmark = hub.load()
    assert (benchmark.name, benchmark.title) == ("hf_someone_Tiny-Set", "hf:someone/Tiny-Set")
    assert benchmark.is_own and benchmark.classes == ("ant", "bee", "cat")
    assert benchmark.ids == (
        *(f"test/{n}" for n in range(6)),
        *(f"train/{n:02}" for n in range(12)),
    )
    theirs = datasets.load_dataset(REPOSITORY, revision=FIRST)
    for split in ("train", "test"):
        for row, example in zip(benchmark.sets[split], theirs[split], strict=True):
            assert benchmark.labels[row].argmax() == example["label"]
            ours = decode(benchmark.pictures[benchmark.ids[row]])
            assert (np.asarray(ours) == np.asarray(example["image"])).all()
    assert (
        picture_content(benchmark.pictures["train/00"]) == TWO_SPLITS["train"][0]["image"]["bytes"]
    )


def test_the_commit_is_in_the_record_and_in_the_feature_files_name(hub):
    hub.tables(FEATURES, TWO_SPLITS)
    benchmark = hub.load()
    assert benchmark.protocol["revision"] == FIRST
    assert benchmark.protocol["dataset"] == f"hf:{REPOSITORY}"
    assert benchmark.feature_set == f"hf_someone_Tiny-Set-{FIRST[:12]}"


def test_a_name_means_the_same_commit_until_another_is_asked_for(hub):
    hub.tables(FEATURES, TWO_SPLITS)
    assert hub.load().protocol["revision"] == FIRST
    hub.tables(FEATURES, {"train": rows(3, seed=2), "test": rows(2, seed=3)}, sha=SECOND)
    num_asked = len(hub.asked)
    assert hub.load().protocol["revision"] == FIRST and len(hub.asked) == num_asked
    newest = hub.load(":revision=main")
    assert newest.protocol["revision"] == SECOND and newest.name.endswith("_revision_main")
    assert hub.load(f":revision={FIRST}").protocol["revision"] == FIRST
    num_asked = len(hub.asked)
    assert hub.load(":revision=main", offline=True).protocol["revision"] == SECOND
    assert hub.load(offline=True).protocol["revision"] == FIRST and len(hub.asked) == num_asked


def test_a_configuration_is_chosen_by_name(hub):
    root = hub.commit()
    for name, count in (("small", 3), ("large", 5)):
        table = datasets.Dataset.from_list(rows(count), features=datasets.Features(FEATURES))
        table.to_parquet(root / f"{name}.parquet")
    (root / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: small\n  data_files: small.parquet\n"
        "- config_name: large\n  data_files: large.parquet\n---\n"
    )
    assert len(hub.load(":name=large").ids) == 15
    assert "Config name is missing" in hub.refusal()
    assert "BuilderConfig 'medium' not found" in hub.refusal(":name=medium")


def test_folders_of_pictures_and_tars_are_read_as_well(hub):
    write_classes(hub.commit() / "train", {"ant": 4, "bee": 4})
    benchmark = hub.load()
    assert benchmark.classes == ("ant", "bee") and len(benchmark.ids) == 8
    assert benchmark.protocol["split"] == "random, stratified"
    ours = {picture_content(p) for p in benchmark.pictures.values()}
    assert ours == {p.read_bytes() for p in (hub.folder / "repositories").rglob("*.jpg")}
    root = hub.commit(SECOND)
    with tarfile.open(root / "train-000.tar", "w") as tar:
        for n in range(8):
            _add(tar, f"{n:04d}.jpg", picture(n))
            _add(tar, f"{n:04d}.cls", str(n % 2).encode())
    tars = hub.load(":revision=main")
    assert tars.classes == ("0", "1") and len(tars.ids) == 8
    assert picture_content(tars.pictures["train/3"]) == picture(3)


def _add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def test_an_old_name_without_an_owner_leads_where_the_hub_says(hub):
    hub.tables(FEATURES, TWO_SPLITS)
    benchmark = load_benchmark("hf:Tiny-Set", places=hub.places)
    assert benchmark.name == "hf_Tiny-Set" and len(benchmark.ids) == 18
    assert load_benchmark("hf:Tiny-Set", places=hub.places, offline=True).ids == benchmark.ids


# Labels


@pytest.mark.parametrize(
    ("kind", "value", "classes"),
    [
        (datasets.Value("string"), NAMES.__getitem__, ("ant", "bee", "cat")),
        (datasets.Value("int64"), lambda k: 7 * k, ("0", "14", "7")),
    ],
)
def test_labels_may_be_texts_or_numbers(hub, kind, value, classes):
    hub.tables(FEATURES | {"label": kind}, {"train": rows(4, value=value)})
    assert hub.load().classes == classes


def test_several_labels_a_picture_make_all_of_it_multi_label(hub):
    several = [[0], [0, 2], [1, 2]]
    features = {"image": datasets.Image(), "labels": datasets.Sequence(FEATURES["label"])}
    hub.tables(features, {"train": rows(6, column="labels", value=several.__getitem__)})
    benchmark = hub.load()
    assert isinstance(benchmark.task, MultiLabel) and (benchmark.labels > 0).sum() == 6 * 5


def test_rows_without_a_label_are_left_out_and_counted(hub):
    some = rows(4)
    some[0]["label"] = some[1]["label"] = None
    hub.tables(FEATURES, {"train": some})
    benchmark = hub.load()
    assert len(benchmark.ids) == 10 and "left out, train without a label: 2" in benchmark.remarks


def test_which_column_is_meant_is_asked_where_it_is_not_clear(hub):
    features = {
        "image": datasets.Image(), "mask": datasets.Image(),
        "fine_label": datasets.ClassLabel(names=NAMES),
        "coarse_label": datasets.ClassLabel(names=["insect", "mammal"]),
    }  # fmt: skip
    train = [
        {"image": r["image"], "mask": r["image"], "fine_label": r["label"],
         "coarse_label": r["label"] // 2}
        for r in rows(4)
    ]  # fmt: skip
    hub.tables(features, {"train": train})
    assert "columns of pictures are image, mask. Choose one by image_column=" in hub.refusal()
    images = ":image_column=image"
    assert "fine_label, coarse_label. Choose one by label_column=, as label_column=fine_label" in (
        hub.refusal(images)
    )
    assert hub.load(f"{images},label_column=fine_label").classes == ("ant", "bee", "cat")
    assert hub.load(f"{images},label_column=coarse_label").classes == ("insect", "mammal")
    assert "has no column 'img'; it has image, mask" in hub.refusal(":image_column=img")


def test_a_dataset_without_pictures_or_labels_says_what_it_has(hub):
    hub.tables({"text": datasets.Value("string")}, {"train": [{"text": "a"}]})
    assert "has no column of pictures; of text choose one by image_column=" in hub.refusal()


# Splits


def test_splits_are_known_by_their_names_and_chosen_by_keys(hub):
    splits = {"train": rows(4), "valid": rows(2, seed=1), "test": rows(2, seed=2)}
    hub.tables(FEATURES, splits | {"extra": rows(2, seed=3)})
    benchmark = hub.load()
    assert {part: len(found) for part, found in benchmark.sets.items()} == {
        "train": 12, "val": 6, "test": 6,
    }  # fmt: skip
    assert "splits not used: extra" in benchmark.remarks
    chosen = hub.load(":train=extra,test=train")
    assert {part: len(found) for part, found in chosen.sets.items()} == {"train": 6, "test": 12}
    alone = hub.load(":split=test")
    assert list(alone.sets) == ["all"] and alone.protocol["split"] == "random, stratified"
    assert "has no split 'all'; it has" in hub.refusal(":split=all")


def test_splits_that_nobody_can_tell_are_asked_for(hub):
    hub.tables(FEATURES, {"north": rows(3), "south": rows(3, seed=1)})
    said = hub.refusal()
    assert "not clear which train" in said and "north" in said and "train=, validation=" in said
    assert len(hub.load(":train=north,test=south").ids) == 18


# The command line


def test_measured_like_an_own_folder(hub, run, home):
    hub.tables(FEATURES, TWO_SPLITS)
    options = ["--net", NARROW, "--scales", 32, "--out", hub.folder / "out"]
    planned = run("bench", f"hf:{REPOSITORY}", *options, "--dry-run")
    assert (
        f"to be fetched, hf:{REPOSITORY}; how many pictures it has is known then" in planned.stdout
    )
    missing = run("bench", f"hf:{REPOSITORY}", *options, "--offline")
    assert missing.exit_code == 1 and "is not in the cache" in missing.stderr
    result = run("bench", f"hf:{REPOSITORY}", *options)
    assert result.exit_code == 0, result.stderr
    assert "Own pictures: no published number to compare with." in result.stdout
    again = run("bench", f"hf:{REPOSITORY}", *options, "--offline", "--format", "json")
    (record,) = json.loads(again.stdout)
    assert record["protocol"]["revision"] == FIRST
    assert [path.name[:29] for path in (home / "features").glob("*.h5")] == [
        f"hf_someone_Tiny-Set-{FIRST[:9]}"
    ]
    verified = run("datasets", "verify", f"hf:{REPOSITORY}")
    assert "every picture can be decoded" in verified.stdout
    assert run("extract", "--dataset", f"hf:{REPOSITORY}", *options[:-2]).exit_code == 0


# What goes wrong is said in one line


def test_no_code_of_a_repository_is_run(hub):
    hub.tables(FEATURES, TWO_SPLITS)
    ((_, root),) = hub.repositories[REPOSITORY]
    (root / "Tiny-Set.py").write_text("raise SystemExit('run')")
    assert "Dataset scripts are no longer supported, but found Tiny-Set.py" in hub.refusal()
    assert not any("Tiny" in name for name in sys.modules)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (":trust_remote_code=true", "no key 'trust_remote_code'; allowed: name, revision"),
        (":split=train,test=test", "split= is for a single one"),
        (":val=a,validation=b", "split= is for a single one"),
        (":name", "'name' is not KEY=VALUE"),
    ],
)
def test_keys_are_checked_before_anything_is_fetched(hub, keys, said):
    assert said in hub.refusal(keys) and not hub.asked


def test_what_is_not_there_says_so(hub, tmp_path):
    assert "the hub has no dataset of this name" in hub.refusal()
    hub.tables(FEATURES, TWO_SPLITS)
    assert "it has no such revision" in hub.refusal(":revision=v9")
    with pytest.raises(DownloadError, match=r"not in the cache, and nothing may be fetched"):
        hub.load(offline=True)
    with pytest.raises(DatasetError, match="no OWNER/NAME of the hub"):
        registry.definition_of("hf:../etc")
    (hub.commit(SECOND) / "notes.txt").write_text("no pictures")
    assert "its files are read as text, and pictures lie in parquet" in hub.refusal()


@pytest.mark.parametrize("sha", ["../../elsewhere", "main", ""])
def test_a_hub_that_names_no_commit_is_not_followed(hub, sha):
    hub.repositories[REPOSITORY] = [(sha, hub.commit())]
    assert "the hub's answer names no repository and commit" in hub.refusal()
    assert not any("/resolve/" in asked or "/tree/" in asked for asked in hub.asked)


def test_a_damaged_cache_and_a_row_without_a_picture_are_told(hub):
    odd = rows(4)
    odd[0]["image"] = {"bytes": b"odd", "path": None}
    hub.tables(FEATURES, {"train": odd, "test": rows(2, seed=1)})
    benchmark = hub.load()
    with pytest.raises(Exception, match=r"^train/00: "):
        decode(benchmark.pictures["train/00"])
    root = registry.definition_of(f"hf:{REPOSITORY}").source.locate(hub.places)
    (root / "Tiny-Set-train.arrow").write_bytes(b"odd")
    for file in root.glob("*train.arrow"):
        file.write_bytes(b"odd")
    assert "cannot be read: " in hub.refusal()


def test_a_row_that_names_a_file_of_this_machine_is_refused(hub, tmp_path):
    private = tmp_path / "private.png"
    private.write_bytes(picture(0))
    for path in (str(private), f"{tmp_path}/hf/hub/../../private.png"):
        odd = rows(4)
        odd[3]["image"] = {"bytes": None, "path": path}
        hub.repositories.clear()
        sha = f"{len(path):040x}"
        root = hub.commit(sha)
        table = datasets.Dataset.from_list(odd, features=datasets.Features(FEATURES))
        # The library would put the file's content in its place.
        pq.write_table(table.data.table, root / "train.parquet")
        said = hub.refusal(f":revision={sha}")
        assert "split train, row 3: " in said and "is no picture of the dataset's" in said


def test_a_class_beyond_the_names_is_an_error_of_one_line(hub):
    root = hub.commit()
    table = datasets.Dataset.from_list(rows(4), features=datasets.Features(FEATURES)).data.table
    column = table.schema.get_field_index("label")
    table = table.set_column(column, table.field(column), pa.array([9] * len(table), pa.int64()))
    pq.write_table(table, root / "train.parquet")
    assert "cannot be read: IndexError" in hub.refusal()


@pytest.mark.parametrize(("found", "said"), [(None, "need the library"), ("3.6.0", "may run code")])
def test_without_the_library_or_with_an_old_one_its_extra_is_named(found, said, monkeypatch):
    def version(_):
        if found is None:
            raise PackageNotFoundError("datasets")
        return found

    monkeypatch.setattr(hub_dataset, "version", version)
    with pytest.raises(DatasetError, match=rf"{said}.*pip install 'vggfeat\[hf\]'"):
        registry.definition_of("hf:a/b")
