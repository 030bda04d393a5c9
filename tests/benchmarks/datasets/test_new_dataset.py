"""A new dataset: one file, added by a line in the list or named by a user on the command line."""

import json
from pathlib import Path

import pytest
from helpers import toy_dataset
from helpers.pictures import NARROW, write_classes

from vggfeat import load_benchmark
from vggfeat.benchmarks.datasets import registry
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.known_counts import counts
from vggfeat.benchmarks.sources.local_folder import LocalFolder
from vggfeat.errors import DatasetError, UnknownNameError
from vggfeat.features import store
from vggfeat.report.published import PublishedRow
from vggfeat.storage.folders import Folders

TOY_FILE = f"{toy_dataset.__file__}:TOY"
OWN_FOLDER = """
from pathlib import Path
from vggfeat import ClassFolderProtocol, DatasetDefinition, LocalFolder, class_folder_benchmark

INSECTS = DatasetDefinition(
    name="insects",
    title="Insects",
    source=LocalFolder(Path(__file__).parent / "insects"),
    build=class_folder_benchmark,
    protocol=ClassFolderProtocol(train_per_class=5, test_per_class=None),
    scales=(32, 48),
    aggregate="stack",
)
"""


@pytest.fixture(autouse=True)
def nothing_added(monkeypatch):
    monkeypatch.setattr(registry, "_from_user_files", {})


@pytest.fixture
def in_list(monkeypatch):
    """What a line in the list of datasets does."""
    monkeypatch.setattr(registry, "DATASETS", (*registry.DATASETS, toy_dataset.TOY))


@pytest.fixture
def own_folder(tmp_path) -> Path:
    """A folder of insects, and beside it the file that defines them as a dataset."""
    write_classes(tmp_path / "insects", {"ant": 9, "bee": 8})
    (tmp_path / "own.py").write_text(OWN_FOLDER)
    return tmp_path / "own.py"


def write_definition(path: Path, **fields: str) -> str:
    """The file with other fields of the definition; returns how it is named."""
    text = OWN_FOLDER
    for field, value in fields.items():
        lines = [f"    {field}={value}," if f"    {field}=" in line else line
                 for line in text.splitlines()]  # fmt: skip
        text = "\n".join(lines) + "\n"
    path.write_text(text)
    return f"{path}:INSECTS"


def replaced(fields: str) -> str:
    """A `build` whose benchmark has other values of these fields."""
    return (
        "lambda definition, root, options: (lambda b: __import__('dataclasses').replace("
        f"b, {fields}))(class_folder_benchmark(definition, root, options))"
    )


def test_one_line_in_the_list_adds_a_dataset(in_list, run, tmp_path):
    assert "toy_colours" in run("datasets", "ls").stdout
    places = Folders(tmp_path, tmp_path)
    benchmark = load_benchmark("toy_colours", places=places)
    assert benchmark.classes == ("blue", "green", "red") and len(benchmark.ids) == 24
    assert [(c.class_name, c.actual, c.expected) for c in counts(benchmark)] == [
        (None, 24, 24), ("red", 8, 8), ("green", 8, 8), ("blue", 8, 8)
    ]  # fmt: skip
    verified = run("datasets", "verify", "toy_colours")
    assert verified.exit_code == 0 and "4 of 4 counts as known" in verified.stdout


def test_a_users_file_is_measured_extracted_and_split(run, tmp_path):
    options = ("--net", NARROW, "--out", tmp_path / "results", "--format", "json", "--splits", 2)
    measured = run("bench", "--benchmark", TOY_FILE, *options)
    assert measured.exit_code == 0, measured.stderr
    (record,) = json.loads(measured.stdout)
    assert (record["benchmark"], record["title"]) == ("toy_colours", "Colours")
    assert list((tmp_path / "results" / "toy_colours").glob("*.json"))
    extracted = run("extract", "--dataset", TOY_FILE, "--net", NARROW)
    assert extracted.stdout.startswith("toy_colours, vgg11") and "0 new" in extracted.stdout
    lines = run("datasets", "splits", TOY_FILE).stdout.splitlines()
    assert lines[0] == "split,part,example,classes" and len(lines) == 1 + 3 * 24
    assert "4 of 4 counts" in run("datasets", "verify", TOY_FILE).stdout


def test_verifying_without_known_counts_says_so(run, own_folder):
    verified = run("datasets", "verify", f"{own_folder}:INSECTS")
    lines = verified.stdout.splitlines()
    assert lines[0] == "insects: no counts are known to compare with"
    assert lines[1].startswith("  2 classes; pictures: ")


def test_both_ways_of_naming_benchmarks_go_together(run, own_folder):
    """Names, --benchmark, and twice the same; a plan shows what would be measured."""
    named = ("digits", TOY_FILE, "--benchmark", f"{own_folder}:INSECTS", "--benchmark", TOY_FILE)
    planned = run("bench", *named, "--net", NARROW, "--dry-run", "--scales", 32)
    assert planned.exit_code == 0, planned.stderr
    for name in ("digits", "toy_colours", "insects"):
        assert (
            planned.stdout.count(f"\n{name}: in ") + planned.stdout.startswith(f"{name}: in ") == 1
        )
    assert "3 measurements" in planned.stdout


def test_a_folder_of_class_folders_with_a_protocol_of_its_own(own_folder):
    benchmark = load_benchmark(f"{own_folder}:INSECTS")
    assert benchmark.name == "insects" and benchmark.classes == ("ant", "bee")
    assert benchmark.scales == (32, 48) and benchmark.aggregate == "stack"
    assert [len(split.test) for split in benchmark.splits] == [4 + 3] * 3
    assert benchmark.pictures["ant/image_0001.jpg"].is_file()
    assert load_benchmark("insects").splits_sha256 == benchmark.splits_sha256


def test_scales_of_datasets_that_share_pictures_are_their_own(run, own_folder, home):
    """A dataset is not extracted again at scales that only an earlier one needed."""
    own_folder.write_text(
        OWN_FOLDER + "from dataclasses import replace\n"
        "def build(*arguments):\n"
        "    return replace(class_folder_benchmark(*arguments), dataset='insects')\n"
        "LARGER = replace(\n"
        "    INSECTS, name='larger', features_of='insects', scales=(64,), build=build\n"
        ")\n"
    )
    named = (f"{own_folder}:INSECTS", f"{own_folder}:LARGER")
    extracted = run("extract", "--dataset", named[0], "--dataset", named[1], "--net", NARROW)
    assert extracted.exit_code == 0, extracted.stderr
    scales = {store.inspect(path).conditions.scales for path in home.rglob("insects-*.h5")}
    assert scales == {(32, 48), (64,)}


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "INSECTS", "no such file, which should define the dataset 'INSECTS'"),
        (OWN_FOLDER, "ANTS", "has no 'ANTS'; it defines INSECTS"),
        (OWN_FOLDER, "Path", "'Path' is a type, not a DatasetDefinition; it defines INSECTS"),
        ("x = 1", "x", "'x' is a int, not a DatasetDefinition; it defines no dataset"),
        ("import nothing_of_this_name", "x", "failed: ModuleNotFoundError: No module named"),
        ("raise ValueError('first\\nsecond')", "x", "failed: ValueError: first"),
        ("def", "x", "failed: SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "x", "failed: SystemExit: 3"),
        (OWN_FOLDER.replace("insects", "my insects"), "x", "'my insects' cannot name a dataset"),
        ("open('no_such_file')", "x", "failed: FileNotFoundError"),
    ],
)
def test_a_file_without_the_dataset_is_one_line(run, tmp_path, text, name, message):
    path = tmp_path / "wrong.py"
    if text is not None:
        path.write_text(text)
    result = run("bench", "--benchmark", f"{path}:{name}", "--net", NARROW)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith(f"Error: {path}: {message}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("source", "None", "insects: source must be a DataSource, such as LocalFolder"),
        ("build", "None", "insects: build must be a function, such as class_folder_benchmark"),
        ("title", "5", "insects: title must be text"),
        ("scales", "32", "insects: scales must be whole numbers, such as (256, 384)"),
        ("scales", "('32',)", "insects: scales must be whole numbers, such as (256, 384)"),
        ("aggregate", "'stack', known_counts=(5,)", "insects: known_counts must be a tuple of"),
        ("aggregate", "'stack', published=(5,)", "insects: published must be a tuple of Published"),
        ("name", "'x' * 65", "letters, digits, - and _, at most 64"),
        ("name", "5", "5 cannot name a dataset"),
        ("source", "LocalFolder('~no_such_user/insects')", "~no_such_user/insects: no such folder"),
        ("protocol", "ClassFolderProtocol(train_per_class=0)", "train_per_class must be at least"),
        (
            "protocol",
            "ClassFolderProtocol(train_per_class=5, test_per_class=-1)",
            "test_per_class must be at least 1; got -1",
        ),
    ],
)
def test_a_field_of_the_wrong_kind_is_one_line(run, own_folder, field, value, message):
    name = write_definition(own_folder, **{field: value})
    result = run("bench", "--benchmark", name, "--net", NARROW, "--quiet")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert message in result.stderr


def test_a_module_that_fails_at_a_name_is_one_line(run, own_folder):
    own_folder.write_text("def __getattr__(name): raise ValueError(name)\n")
    result = run("bench", "--benchmark", f"{own_folder}:INSECTS", "--net", NARROW)
    assert (result.exit_code, result.stderr) == (
        1, f"Error: {own_folder}: failed: ValueError: INSECTS\n"
    )  # fmt: skip


@pytest.mark.parametrize("name", ["helpers.toy_dataset:TOY", "own.py", "own:INSECTS", "own.pyc:x"])
def test_only_a_name_with_a_python_file_leads_to_code(own_folder, monkeypatch, name):
    monkeypatch.chdir(own_folder.parent)
    own_folder.write_text("raise AssertionError('was run')")
    with pytest.raises(UnknownNameError, match="Unknown benchmark"):
        registry.definition_of(name)


@pytest.mark.parametrize("taken", ["voc2007", "digits", "ilsvrc_classification"])
def test_the_name_of_a_built_in_dataset_is_refused(run, own_folder, taken):
    name = write_definition(own_folder, name=repr(taken))
    result = run("bench", "--benchmark", name, "--net", NARROW)
    assert result.exit_code == 1
    assert f"another dataset has the name {taken!r}. Choose one" in result.stderr
    assert load_benchmark("digits").name == "digits"


def test_two_files_cannot_define_the_same_name(own_folder):
    other = own_folder.with_name("other.py")
    other.write_text(OWN_FOLDER)
    first = registry.definition_of(f"{own_folder}:INSECTS")
    assert registry.definition_of(f"{own_folder.parent}/./own.py:INSECTS") is first
    with pytest.raises(DatasetError, match="other.py:INSECTS: another dataset has the name"):
        registry.definition_of(f"{other}:INSECTS")


def test_features_are_shared_only_with_a_dataset_of_the_same_source(own_folder):
    name = write_definition(own_folder, aggregate='"stack", features_of="digits"')
    with pytest.raises(DatasetError, match="features_of is 'digits', which is no dataset of the"):
        registry.definition_of(name)


def test_a_source_cannot_have_the_name_of_another(own_folder):
    generated = "__import__('vggfeat.benchmarks.sources.generated', fromlist='G').Generated"
    source = f"{generated}(name='digits', version=1, write=print)"
    name = write_definition(own_folder, source=source)
    with pytest.raises(DatasetError, match="another dataset has a source named 'digits'"):
        registry.definition_of(name)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("lambda definition, root, options: 1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("lambda definition, root, options: None", "failed: AttributeError: 'NoneType' object"),
        (
            "lambda definition, _, o: class_folder_benchmark(definition, Path('no'), o)",
            "failed: FileNotFoundError",
        ),
        (
            "lambda definition, root, options: __import__('dataclasses').replace("
            "class_folder_benchmark(definition, root, options), name='ants')",
            "`build` must return a Benchmark of its definition's name 'insects'",
        ),
        (replaced("splits=()"), "there is no split, or nothing to train on or to test in one"),
        (replaced("labels=b.labels[:3]"), "labels must be of shape (17, 2); got (3, 2)"),
        (replaced("pictures={}, labels=b.labels[:0]"), "splits name examples beyond the 0 that"),
    ],
)
def test_what_is_wrong_with_a_users_function_is_one_line(run, own_folder, build, message):
    name = write_definition(own_folder, build=build)
    result = run("datasets", "splits", name)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"Error: {name}: {message}")


def test_a_local_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match="birds: no such folder, where a dataset should be"):
        LocalFolder(tmp_path / "birds").open(Folders(tmp_path, tmp_path))


@pytest.mark.parametrize("name", ["", "my birds", "../birds", "a/b", "käfer"])
def test_names_that_no_file_could_have_are_refused(name):
    with pytest.raises(DatasetError, match="allowed are letters, digits, - and _"):
        DatasetDefinition(
            name=name, title="", source=LocalFolder("."), build=print, protocol=None, scales=(32,)
        )


@pytest.mark.parametrize("benchmark", ["insects", "voc2007"])
def test_published_rows_of_a_definition_are_its_own(own_folder, benchmark):
    row = PublishedRow(benchmark=benchmark, metric="accuracy", value=90, source="a", method="b")
    module = "__import__('vggfeat.report.published', fromlist='P')"
    name = write_definition(own_folder, scales=f"(32,), published=({module}.{row!r},)")
    if benchmark == "insects":
        assert registry.definition_of(name).published == (row,)
        return
    with pytest.raises(DatasetError, match="own.py: insects: published rows are of .* voc2007"):
        registry.definition_of(name)
