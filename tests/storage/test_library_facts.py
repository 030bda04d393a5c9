"""What libraries say of their nets is kept as long as their files are as they were."""

import os
import sys

import pytest

from vggfeat.storage.library_facts import known


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library that can be imported and is not."""
    folder = tmp_path / "site" / "toy_library"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield folder
    sys.modules.pop("toy_library", None)


@pytest.fixture
def ask(library, home):
    """Ask a question, whose answer is how often it has been looked up."""
    times = []

    def look_up():
        times.append(None)
        return {"times": len(times)}

    return lambda *question: known("toy_library", list(question), look_up)["times"]


def kept(home) -> list:
    return sorted((home / "libraries").iterdir())


def test_a_question_is_looked_up_once(ask, home):
    assert [ask("a net", 224) for _ in range(3)] == [1, 1, 1]
    assert ask("a net", 320) == 2 and ask("a net", 224) == 1
    assert len(kept(home)) == 2


@pytest.mark.parametrize("name", ["__init__.py", "models/net.py"])
def test_another_version_of_the_library_is_asked_again(ask, library, name):
    assert ask("a net") == 1
    (library / name).parent.mkdir(exist_ok=True)
    (library / name).write_text("mean = 0.5")
    assert ask("a net") == 2


def test_the_same_file_at_another_time_is_another_library(ask, library):
    assert ask("a net") == 1
    os.utime(library / "__init__.py", ns=(1, 1))
    assert ask("a net") == 2


def test_a_library_that_was_imported_is_asked_itself(ask, home):
    """Whoever imported it may have added nets."""
    assert ask("a net") == 1
    __import__("toy_library")
    assert ask("a net") == 2 and ask("a net") == 3 and len(kept(home)) == 1


def test_no_flipped_bit_gives_other_facts(ask, home):
    assert ask("a net") == 1
    (path,) = kept(home)
    whole, num_asked = path.read_bytes(), 1
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        answer = ask("a net")
        assert answer in (1, num_asked + 1)  # what was kept, or looked up now
        num_asked = max(num_asked, answer)


def test_where_nothing_can_be_kept_it_is_looked_up_each_time(ask, home):
    home.write_text("a file, no folder")
    assert [ask("a net"), ask("a net")] == [1, 2]


def test_a_library_that_is_not_there_is_the_look_ups_matter(home):
    def look_up():
        raise LookupError("pip install it")

    with pytest.raises(LookupError):
        known("no_such_library", ["a net"], look_up)
