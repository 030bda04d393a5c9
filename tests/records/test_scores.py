"""The score of every test example: written whole, read strictly, known by its digest."""

import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from vggfeat.errors import RecordError
from vggfeat.records.scores import Scores, read_scores, scores_path, write_scores

SCORES = Scores(
    ids=("a/1.jpg", "b/Künstler.jpg", "a/1.jpg"),
    splits=np.array([0, 0, 1]),
    labels=np.array([[1, -1], [-1, 1], [1, 0]]),
    scores=np.array([[0.5, -1], [np.nan, 2], [-np.inf, 0]]),
    classes=("a", "b"),
)


def test_scores_survive_writing_and_reading(tmp_path):
    path = tmp_path / "r.scores.h5"
    digest = write_scores(path, SCORES)
    found = read_scores(path, digest)
    assert (found.ids, found.classes) == (SCORES.ids, SCORES.classes)
    for name, dtype in (("splits", np.int32), ("labels", np.int8), ("scores", np.float32)):
        assert getattr(found, name).dtype == dtype
        np.testing.assert_array_equal(getattr(found, name), getattr(SCORES, name))


def test_a_full_disk_is_an_error_of_the_disk_and_leaves_nothing(tmp_path):
    """HDF5 itself would end the process with a segmentation fault."""
    program = """if True:
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from vggfeat.records.scores import Scores, write_scores
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        scores = Scores(
            ids=["a"], splits=[0], labels=[[1]], scores=np.zeros((1, 1)), classes=["c"]
        )
        try:
            write_scores(Path(sys.argv[1]), scores)
        except OSError as error:
            print(error.strerror)
    """
    command = [sys.executable, "-c", program, str(tmp_path / "r.scores.h5")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "File too large\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_others_read_them_without_vggfeat(tmp_path):
    write_scores(tmp_path / "r.scores.h5", SCORES)
    with h5py.File(tmp_path / "r.scores.h5") as file:
        assert file["ids"].asstr()[1] == "b/Künstler.jpg"
        assert file["scores"].shape == (3, 2)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from vggfeat.records.scores import Scores, write_scores

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
table = np.random.default_rng(0).random((500, 4))
scores = Scores(
    ids=["a"] * 500, splits=np.zeros(500), labels=table > 0, scores=table, classes=list("abcd")
)
try:
    write_scores(Path(sys.argv[1]), scores)
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_an_error_as_of_any_file(tmp_path):
    """HDF5 raises others, and ends the process with a segmentation fault at its exit."""
    pytest.importorskip("resource")  # a limit of a file's size stands for the full disk
    command = [sys.executable, "-c", FULL_DISK, tmp_path / "r.scores.h5"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "File too large\n", "")
    assert not list(tmp_path.iterdir())


def test_they_lie_beside_their_record(tmp_path):
    record = tmp_path / "voc2007" / "vgg16-0123456789abcdef.json"
    assert scores_path(record).name == "vgg16-0123456789abcdef.scores.h5"


def test_scores_of_another_measurement_are_refused(tmp_path):
    digest = write_scores(tmp_path / "r.scores.h5", SCORES)
    with h5py.File(tmp_path / "r.scores.h5", "r+") as file:
        file["splits"][0] = 1
    with pytest.raises(RecordError, match="not the scores of its record.* Move its record away"):
        read_scores(tmp_path / "r.scores.h5", digest)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda path: path.unlink(), "no such file of scores. Move its record away"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "not a whole file of scores"),
        (lambda path: path.write_bytes(b""), "not a whole file of scores"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, damage, message):
    path = tmp_path / "r.scores.h5"
    write_scores(path, SCORES)
    damage(path)
    with pytest.raises(RecordError, match=message) as error:
        read_scores(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_scores_of_no_class_are_refused(tmp_path):
    nothing = np.zeros((len(SCORES.ids), 0))
    path = tmp_path / "r.scores.h5"
    write_scores(path, replace(SCORES, labels=nothing, scores=nothing, classes=()))
    with pytest.raises(RecordError, match="its parts do not fit each other"):
        read_scores(path)


def test_parts_that_do_not_fit_each_other_are_refused(tmp_path):
    path = tmp_path / "r.scores.h5"
    write_scores(path, SCORES)
    with h5py.File(path, "r+") as file:
        del file["classes"]
        file.create_dataset("classes", data=["a"], dtype=h5py.string_dtype())
    with pytest.raises(RecordError, match="its parts do not fit each other"):
        read_scores(path)
