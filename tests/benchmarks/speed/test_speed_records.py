"""Records of speed on disk, and the tables made of them."""

import json
from dataclasses import replace

import pytest
import torch

from vggfeat.benchmarks.speed import quick as quick_variants
from vggfeat.benchmarks.speed import record as records
from vggfeat.benchmarks.speed import suite, tables
from vggfeat.benchmarks.speed.measuring import Goal, Row, Setup, SpeedResult, Spread, cuda_only_row
from vggfeat.errors import RecordError, UnknownNameError

OURS = Row(
    contender="vggfeat", quantity="pictures/s", device="cpu", value=Spread.of([1, 2, 1234]),
    peer="the usual way", ratio=Spread.of([3.999, 4.25, 5]), goal=Goal(4, of="ratio"),
)  # fmt: skip
ON_CUDA = cuda_only_row("vggfeat", "the bf16 matrix product", Goal(0.6))
RESULT = SpeedResult(
    settings={"scales": [256]},
    rows=[OURS, ON_CUDA],
    limits=[Row(contender="JPEG decoding", quantity="pictures/s", device="cpu",
                value=Spread.of([700.0]))],
    notes=["A note."],
)  # fmt: skip


@pytest.fixture
def record(tmp_path):
    setup = Setup(tmp_path, repeats=3)
    return records.new_record(
        "extraction", RESULT, setup, command="vggfeat bench-speed", git=None, seconds=1.26
    )


def test_a_record_comes_back_as_it_was(record, tmp_path):
    path = records.write(record, tmp_path / "speed")
    assert path == tmp_path / "speed" / "extraction" / "cpu.json"
    assert records.read_all(tmp_path / "speed") == [record]
    content = json.loads(path.read_text())
    assert [row["reached"] for row in content["rows"]] == ["yes", "not measured"]
    assert content["hardware"]["cpu"] and content["hardware"]["threads"] and content["versions"]
    assert (content["seconds"], content["repeats"]) == (1.3, 3)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda content: content.update(schema_version=2), "schema version 1"),
        (lambda content: content.pop("git"), "lacks a field"),
        (lambda content: content["rows"][0].pop("contender"), "malformed"),
        (lambda content: content["rows"][0].update(value=3), "malformed"),
    ],
)
def test_a_damaged_record_is_refused(record, tmp_path, damage, message):
    path = records.write(record, tmp_path)
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=message):
        records.read(path)


def test_a_table_has_peer_limit_and_goal_beside_what_was_measured(record):
    text = tables.render([record], "md")
    first, second, limit = (
        line for line in text.splitlines() if line.startswith(("| vgg", "| JP"))
    )
    cells = [cell.strip() for cell in first.strip("|").split("|")]
    assert cells == [
        "vggfeat", "cpu", "pictures/s", "2 (1 to 1,234)", "the usual way: 4.25 (4 to 5)",
        "at least 4 times", "yes",
    ]  # fmt: skip
    assert "not measured: needs --device cuda" in second and "at least 0.6" in second
    assert "| 700 " in limit
    assert "A note." in text and "3 rounds" in text and "`vggfeat bench-speed`" in text


def test_what_another_device_has_measured_is_no_gap(record):
    share = replace(ON_CUDA, value=Spread.of([0.65]), note="")
    text = tables.render([record, replace(record, device="cuda", rows=[share])], "md")
    assert "not measured" not in text and "| 0.65 " in text and "| yes" in text
    assert text.count("## Extraction") == 1
    (decoding,) = (line for line in text.splitlines() if "cpu beside cuda" in line)
    assert decoding.startswith("| JPEG decoding")  # of the machine with the GPU


def test_without_records_there_is_no_table(tmp_path):
    assert tables.render(records.read_all(tmp_path / "nowhere"), "md") == tables.NOTHING


@pytest.fixture
def quick(monkeypatch):
    """Benchmarks that take no time."""
    monkeypatch.setattr(suite, "BENCHMARKS", {"extraction": lambda setup: RESULT})


def test_the_command_measures_writes_and_shows(quick, run, tmp_path):
    out = tmp_path / "speed"
    result = run("bench-speed", "--out", out, "--repeats", "2", "--device", "cpu")
    assert result.exit_code == 0 and result.stdout.startswith("Extraction\n")
    (record,) = records.read_all(out)
    assert (record.repeats, record.rows) == (2, RESULT.rows)
    assert (out / "tables.md").read_text() == tables.render([record], "md")


def test_mistyped_names_are_refused_before_anything_is_measured(tmp_path, run):
    result = run("bench-speed", "extrction", "--out", tmp_path)
    assert result.exit_code == 1 and "Did you mean 'extraction'?" in result.stderr
    with pytest.raises(UnknownNameError):
        list(suite.run(["x"], tmp_path, device="cpu", repeats=1, command=""))


def test_a_folder_that_cannot_be_written_is_refused(quick, run, tmp_path):
    (tmp_path / "file").touch()
    result = run("bench-speed", "--out", tmp_path / "file" / "speed")
    assert result.exit_code == 1 and "Choose another --out" in result.stderr


def test_a_quick_measurement_says_so_and_replaces_no_whole_one(monkeypatch, run, tmp_path):
    given = []
    monkeypatch.setattr(
        suite, "BENCHMARKS",
        {"extraction": lambda setup, **sizes: given.append((setup.repeats, sizes)) or RESULT},
    )  # fmt: skip
    command = ("bench-speed", "extraction", "--out", tmp_path, "--device", "cpu")
    for _ in range(2):
        assert run(*command, "--quick").exit_code == 0
    assert given == [(quick_variants.REPEATS, quick_variants.ARGUMENTS["cpu"]["extraction"])] * 2
    assert records.read_all(tmp_path)[0].settings == RESULT.settings | {"quick": True}
    assert run(*command).exit_code == 0 and given[2] == (5, {})
    refused = run(*command, "--quick")
    assert refused.exit_code == 1 and "has a whole measurement of extraction" in refused.stderr
    assert len(given) == 3 and records.read_all(tmp_path)[0].settings == RESULT.settings


def test_only_what_uses_a_gpu_has_a_quick_variant(run, tmp_path):
    result = run("bench-speed", "store", "--quick", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "extraction, svm, training, loading have one" in result.stderr
    assert not (tmp_path / "out").exists()


def test_what_was_measured_before_an_error_is_kept(monkeypatch, tmp_path, caplog):
    def fail(setup):
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(suite, "BENCHMARKS", {"extraction": lambda setup: RESULT, "svm": fail})
    with pytest.raises(RuntimeError):
        list(suite.run([], tmp_path, device="cpu", repeats=1, command=""))
    assert [record.name for record in records.read_all(tmp_path)] == ["extraction"]
    assert f"stopped at svm; what was measured before is in {tmp_path}" in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_nothing_is_written(run, tmp_path):
    result = run("bench-speed", "--device", "cuda", "--quick", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "no CUDA device was found" in result.stderr
    assert not (tmp_path / "out").exists()
