"""What errors suggest: the nearest name, and what to do where the right to a file is missing."""

import errno
import os
import sys

import pytest

from vggfeat.errors import UnknownNameError, in_one_line, nearest

NETS = ["vgg11", "vgg13", "vgg16", "vgg16_1x1", "vgg19", "resnet50"]


@pytest.mark.parametrize(
    "name, meant",
    [("VGG16", "vgg16"), ("vgg61", "vgg16"), ("vgg91", "vgg19"), ("Vgg-13", "vgg13"),
     ("ResNet50", "resnet50"), ("vgg16", "vgg16"), ("xyz", None)],
)  # fmt: skip
def test_the_nearest_name_is_the_one_that_was_meant(name, meant):
    assert nearest(name, NETS) == meant
    hint = f"Did you mean {meant!r}?"
    assert (hint in str(UnknownNameError("network", name, NETS))) == (meant is not None)


def advice_as_another_user(path):
    """What an error of a file that belongs to somebody else advises to a user without rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            text = in_one_line(PermissionError(errno.EACCES, "Permission denied", str(path)))
            os.write(writer, text.encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as told:
        return told.read()


@pytest.fixture
def data(tmp_path):
    """A folder that anybody can reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == tmp_path.owner() and folder.stat().st_mode & 0o055 != 0o055:
            folder.chmod(0o755)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="no such rights there")
def test_an_unreadable_folder_of_data_is_not_blamed_on_the_cache(data):
    locked, closed = data / "locked", data / "pictures"
    locked.mkdir()
    (locked / "a.jpg").write_bytes(b"")
    closed.mkdir()
    locked.chmod(0o000)
    closed.chmod(0o555)
    try:
        for path in (locked, locked / "a.jpg"):
            told = advice_as_another_user(path)
            assert told.startswith(f"Permission denied: {path}. Ask for the right to read it")
            assert "--cache-dir" not in told
        assert "--cache-dir, --out and --to" in advice_as_another_user(closed / "new.h5")
    finally:
        locked.chmod(0o755)
        closed.chmod(0o755)
