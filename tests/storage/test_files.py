"""Files as a whole: their digest is that of their bytes."""

import hashlib

import pytest

from vggfeat.storage.files import sha256_of


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 5000])
def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_a_file_that_is_not_there_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "gone")
