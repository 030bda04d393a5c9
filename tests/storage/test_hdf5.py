"""HDF5 files that HDF5 itself neither ends with nor survives: refused, without a cost to others."""

import os
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from vggfeat.benchmarks import verify
from vggfeat.errors import RecordError, StoreError, WeightsError
from vggfeat.features import store
from vggfeat.records.scores import read_scores
from vggfeat.storage import hdf5
from vggfeat.weights.matconvnet import mat_file


@pytest.fixture(autouse=True)
def looker(monkeypatch):
    """A process of the test's own that gives up soon."""
    looker = hdf5._Looker()
    monkeypatch.setattr(hdf5, "CPU_SECONDS", 0.3)
    monkeypatch.setattr(hdf5, "_looker", looker)
    monkeypatch.setattr(hdf5, "_seen", {})
    yield looker
    looker.end()


def write(path: Path, edit=None) -> Path:
    """A small file with texts, of which `edit` changes the bytes."""
    with h5py.File(path, "w") as file:
        file.attrs["name0"] = "some text"
        file.create_dataset("ids", data=["a", "b"], dtype=h5py.string_dtype())
    if edit:
        content = bytearray(path.read_bytes())
        edit(content)
        path.write_bytes(content)
    return path


def circular(content: bytearray) -> None:
    """The first text of the heap of texts claims 256 bytes more than it has."""
    content[content.index(b"GCOL") + 25] = 1


def deadly(content: bytearray) -> None:
    """An attribute's type is of a kind of variable length that there is not."""
    content[content.index(b"name0\0\0\0") + 9] ^= 8


def huge(content: bytearray) -> None:
    """The text of an attribute claims 2 GiB."""
    content[content.index(b"name0\0\0\0") + 51] ^= 128


@pytest.mark.parametrize(
    "edit, message",
    [(circular, "does not come to an end"), (deadly, "breaks down"), (huge, "too large")],
)
def test_what_hdf5_does_not_survive_is_refused(tmp_path, edit, message):
    with pytest.raises(OSError, match=f"damaged: .*{message}"):
        hdf5.open_file(write(tmp_path / "f.h5", edit))
    with hdf5.open_file(write(tmp_path / "sound.h5")) as file:  # by a new process
        assert file["ids"].asstr()[()].tolist() == ["a", "b"]


@pytest.mark.parametrize("repair", [False, True])
def test_verify_says_why_a_file_cannot_be_read_and_leaves_it(tmp_path, repair):
    """It said only that the file is none of ours, which nobody can see."""
    path = write(tmp_path / "f.h5", circular)
    (finding,) = verify.findings(path, repair=repair)
    assert str(finding) == f"{path}: not checked, HDF5 does not come to an end"
    assert path.exists()


def test_every_reader_is_protected(tmp_path):
    write(tmp_path / "f.h5", circular)
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(384)
    (tmp_path / "f.mat").write_bytes(header + (tmp_path / "f.h5").read_bytes())
    for read, kind in (
        (lambda: store.inspect(tmp_path / "f.h5"), StoreError),
        (lambda: read_scores(tmp_path / "f.h5"), RecordError),
        (lambda: mat_file.variables(tmp_path / "f.mat"), WeightsError),
    ):
        with pytest.raises(kind, match="does not come to an end"):
            read()


def test_a_file_is_looked_at_once_unless_it_changes(tmp_path, looker, monkeypatch):
    looks = []
    monkeypatch.setattr(looker, "look", looks.append)
    path = write(tmp_path / "f.h5")
    for _ in range(3):
        hdf5.open_file(path).close()
    assert looks == [path]
    os.utime(path, ns=(1, 1))
    hdf5.open_file(path).close()
    assert looks == [path, path]


def test_a_circular_file_costs_its_time_once(tmp_path, looker):
    """Commands open a file several times."""
    path = write(tmp_path / "f.h5", circular)
    for _ in range(2):
        with pytest.raises(OSError, match="does not come to an end"):
            hdf5.open_file(path)
    assert looker._process is None  # no other was begun for the second
    write(path)  # put right
    os.utime(path, ns=(1, 1))
    hdf5.open_file(path).close()


def test_a_look_takes_milliseconds_once_the_process_is_there(tmp_path):
    paths = [write(tmp_path / f"{i}.h5") for i in range(21)]
    hdf5.open_file(paths[0]).close()
    begun = time.perf_counter()
    for path in paths[1:]:
        hdf5.open_file(path).close()
    assert (time.perf_counter() - begun) / 20 < 0.1  # some 2 ms where nothing else runs


def test_an_interrupt_leaves_no_answer_behind(tmp_path, looker, monkeypatch):
    """The next file must not be judged by the answer on the one before."""
    good, bad = write(tmp_path / "good.h5"), write(tmp_path / "bad.h5", circular)
    looker.look(good)

    class Interrupting:
        def readline(self):
            raise KeyboardInterrupt

        def close(self):
            pass

    looker._process.stdout.close()
    monkeypatch.setattr(looker._process, "stdout", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        looker.look(good)
    with pytest.raises(OSError, match="does not come to an end"):
        looker.look(bad)


def test_a_process_that_somebody_ended_does_not_make_a_file_damaged(tmp_path, looker):
    path = write(tmp_path / "f.h5")
    looker.look(path)
    looker._process.send_signal(signal.SIGTERM)
    looker._process.wait()
    with pytest.raises(OSError, match="was ended by signal 15"):
        looker.look(path)
    looker.look(path)


def test_where_no_process_can_be_started_files_are_read_and_that_is_told(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(hdf5.sys, "executable", "/nowhere/python")
    with hdf5.open_file(write(tmp_path / "f.h5")) as file:
        assert "ids" in file
    assert "no process could be started that looks at HDF5 files" in caplog.text


def test_odd_names_of_files(tmp_path):
    for name in ("a\nb.h5", "ü.h5", os.fsdecode(b"\xff.h5")):
        with hdf5.open_file(write(tmp_path / name)) as file:
            assert "ids" in file


def elsewhere(file: h5py.File) -> None:
    del file["ids"]
    file["ids"] = h5py.ExternalLink("other.h5", "/x")


def soft(file: h5py.File) -> None:
    del file["ids"]
    file["ids"] = h5py.SoftLink("/ids")


def external(file: h5py.File) -> None:
    del file["ids"]
    file.create_dataset("ids", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def virtual(file: h5py.File) -> None:
    del file["ids"]
    plan = h5py.VirtualLayout(shape=(4,), dtype="u1")
    plan[:] = h5py.VirtualSource("other.h5", "x", shape=(4,))
    file.create_virtual_dataset("ids", plan)


def vast(file: h5py.File) -> None:
    del file["ids"]
    file.create_dataset("ids", (2**40,), "u1")


def vast_chunks(file: h5py.File) -> None:
    del file["ids"]
    file.create_dataset("ids", (2**31,), "u1", chunks=(2**31,), compression="gzip")


def group(file: h5py.File) -> None:
    del file["ids"]
    file.create_group("ids")


@pytest.mark.parametrize(
    "edit, message",
    [
        (elsewhere, "ids is a link to elsewhere"),
        (soft, "ids is a link to elsewhere"),
        (group, "ids is a link to elsewhere or no array"),
        (external, "ids lies in another file"),
        (virtual, "ids lies in another file"),
        (vast, r"ids has the shape \(1099511627776,\), too large for the file"),
        (vast_chunks, r"ids has the shape \(2147483648,\), too large for the file"),
    ],
)
def test_arrays_elsewhere_and_huge_ones_are_refused(tmp_path, edit, message):
    path = write(tmp_path / "f.h5")
    with h5py.File(path, "r+") as file:
        edit(file)
    with hdf5.open_file(path) as file, pytest.raises(ValueError, match=message):
        hdf5.check_parts(file, ["absent", "ids"])
    with pytest.raises(RecordError, match=message):
        read_scores(path)


def test_well_compressed_arrays_fit(tmp_path):
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(10**6), compression="gzip")
    with hdf5.open_file(path) as file:
        hdf5.check_parts(file, ["x"])  # raises if it seems too large for its file
        assert file["x"].nbytes > 100 * path.stat().st_size
