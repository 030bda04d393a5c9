"""Files as a whole: their digest is that of their bytes, and a full disk tears none."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
import torch
from helpers.disks import files_of_at_most

from vggfeat.storage.files import new_file, new_folder, new_path, remove_parts, sha256_of


def _save_with_torch(file):
    """torch makes a RuntimeError of what the file raises."""
    torch.save({"a": torch.zeros(5000)}, file)


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 5000])
def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_a_file_that_is_not_there_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "gone")


@pytest.mark.parametrize("write", [lambda file: file.write(bytes(5000)), _save_with_torch])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, write):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with (
        files_of_at_most(4096),
        pytest.raises(OSError, match=f"File too large: '{path}'") as error,
        new_file(path) as file,
    ):
        write(file)
    assert error.value.errno == errno.EFBIG
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="not a usual file"), new_file(tmp_path / "pipe"):
        pass
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]


@pytest.mark.parametrize("name", ["null", "stdout", "of-no-device"])
def test_nothing_in_the_folder_of_devices_is_written(name, monkeypatch):
    monkeypatch.setattr(os, "replace", None)  # a mistake here would be everybody's
    path = Path("/dev", name)
    with pytest.raises(FileExistsError, match="not a usual file"), new_path(path):
        pytest.fail("it would have been written")


def test_a_full_disk_names_the_folder_that_is_made(tmp_path):
    with (
        files_of_at_most(0),
        pytest.raises(OSError, match=f"File too large: '{tmp_path / 'a'}'"),
        new_folder(tmp_path / "a") as folder,
    ):
        (folder / "b").write_bytes(b"content")
    assert not any(tmp_path.iterdir())


def test_what_is_being_written_in_a_folder_is_not_removed_with_what_was_left(tmp_path):
    """The folder itself changes only where files come and go."""
    left, used, gone = (tmp_path / f".index.h5.{n}.part" for n in "123")
    for folder in (left, used):
        folder.mkdir()
        (folder / "0").write_text("a piece")
        for path in (folder, folder / "0"):
            os.utime(path, (0, 0))
    os.utime(used / "0")
    gone.symlink_to("nowhere")  # as what another process has just given its name
    remove_parts(tmp_path / "index.h5", 3600)
    assert not left.exists() and (used / "0").exists()
