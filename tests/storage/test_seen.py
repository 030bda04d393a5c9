"""Digests beside files that carry none: remembered at first sight, compared later."""

import hashlib
import logging
import os
import subprocess

import pytest

from vggfeat.storage import seen
from vggfeat.storage.files import sha256_of


@pytest.fixture
def file(tmp_path):
    (tmp_path / "net (1).onnx").write_bytes(b"graph")
    return tmp_path / "net (1).onnx"


def test_the_first_digest_is_kept_as_sha256sum_has_it(file):
    assert seen.difference(file, sha256_of(file)) is None
    beside = file.with_name("net (1).onnx.sha256")
    digest = hashlib.sha256(b"graph").hexdigest()
    assert beside.read_text() == f"{digest}  net (1).onnx\n"
    checked = subprocess.run(["sha256sum", "-c", beside.name], cwd=file.parent, check=False,
                             capture_output=True, text=True)  # fmt: skip
    assert checked.stdout == "net (1).onnx: OK\n"


def test_another_file_under_the_name_is_said_each_time_and_the_digest_kept(file, caplog):
    seen.warn_of_difference(file, sha256_of(file))
    assert not caplog.records
    file.write_bytes(b"grapi")  # one flipped bit
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            seen.warn_of_difference(file, sha256_of(file))
        assert "is not the file that was seen first" in caplog.text
        assert "remove net (1).onnx.sha256 if you changed it" in caplog.text


def test_a_digest_that_came_with_the_file_serves(file):
    file.with_name("net (1).onnx.sha256").write_text(
        f"{'A' * 64} *other\r\n{'B' * 64} *{file.name}\r\n"
    )
    assert seen.first_seen(file) == "b" * 64


@pytest.mark.parametrize(
    "text", ["", "no digest", f"{'a' * 64}  another.onnx\n", "a" * 63 + "  net (1).onnx"]
)
def test_what_holds_no_digest_of_the_file_is_left_alone(file, text):
    beside = file.with_name("net (1).onnx.sha256")
    beside.write_text(text)
    assert seen.difference(file, sha256_of(file)) is None
    assert beside.read_text() == text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_no_error(file):
    file.parent.chmod(0o500)
    try:
        assert seen.difference(file, sha256_of(file)) is None
    finally:
        file.parent.chmod(0o700)


@pytest.mark.parametrize(
    "form", ["{d}  ./{n}", "{d}  some/folder/{n}", "SHA256 ({n}) = {d}", "\ufeff{d}"]
)
def test_digests_are_read_in_the_forms_that_people_have(file, form):
    text = form.format(d="C" * 64, n=file.name)
    file.with_name("net (1).onnx.sha256").write_text(text, encoding="utf-8")
    assert seen.first_seen(file) == "c" * 64
