"""What names of other people's files and cards do to a terminal: nothing."""

import io
import json
import logging
import re

import pytest
from click.testing import CliRunner
from helpers.pictures import write_picture
from helpers.terminals import written_to_terminal

from vggfeat.cli import main
from vggfeat.cli.messages import OneLine
from vggfeat.cli.terminal import SafeStream
from vggfeat.errors import VggfeatError, in_one_line, printable

# A title, the screen cleared, the line begun anew, red, the direction turned.
EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202e"
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")


def on_a_terminal(*arguments, cwd):
    """What `vggfeat` writes to a terminal of its own, but for its colours."""
    return written_to_terminal(["-m", "vggfeat", *arguments], cwd=cwd, NO_COLOR="1")


def test_names_of_files_do_not_reach_a_terminal_as_they_are(tmp_path):
    name = "a\x1b[2J\udcff\n.h5"
    (tmp_path / name).write_bytes(b"no feature file")
    written = on_a_terminal("inspect", name, cwd=tmp_path)
    assert not HARMFUL.search(written)
    assert r"a\x1b[2J" in written and "cannot be read as a feature file" in written


@pytest.mark.parametrize("form", ["table", "md", "csv", "latex"])
def test_records_do_not_reach_the_terminal_as_they_are(tmp_path, form):
    from helpers.records import make_record

    from vggfeat.records.record import write

    write(make_record(notes=[f"one{EVIL}\ntwo"], title=f"Title{EVIL}"), tmp_path)
    result = CliRunner().invoke(main, ["table", "--out", str(tmp_path), "--format", form])
    assert result.exit_code == 0
    assert not HARMFUL.search(result.output)


def test_usage_and_failures_are_escaped(tmp_path):
    write_picture(tmp_path / f"train/a{EVIL}/1.png")
    result = CliRunner().invoke(main, ["pretrain", "vgg11", "--data", str(tmp_path), "--dry-run"])
    assert result.exit_code == 1
    assert not HARMFUL.search(result.output)


def test_a_cards_text_is_escaped(tmp_path):
    """Indented JSON, as `inspect` prints a card."""
    from vggfeat.weights.checkpoint import Card

    card = Card(net="vgg11", classes=(EVIL,), mean=(1, 1, 1), std=(1, 1, 1), training={})
    assert not HARMFUL.search(json.dumps(card.to_json()))


def test_printable():
    assert printable("für 東京, a\tb\nc") == "für 東京, a\tb\nc"
    assert printable("a\nb\tc", one_line=True) == r"a\nb\tc"
    assert printable("\x00\x1b\x7f\x9b\u2028\u202e\udcff") == (
        r"\x00\x1b\x7f\x9b\u2028\u202e\udcff"
    )
    assert (
        printable("\u200b\ufeff\u2060\uffff") == r"\u200b\ufeff\u2060\uffff"
    )  # of no width, or none
    assert printable("👩\u200d🔧 می\u200cخواهم") == "👩\u200d🔧 می\u200cخواهم"  # these join letters


def test_an_error_is_one_line_of_some_length():
    assert in_one_line(VggfeatError("a\rb\x1b[2J\n c")) == r"a\rb\x1b[2J  c"
    long = in_one_line(VggfeatError("begin " + "x" * 10**6 + " end"))
    assert len(long) < 3000 and long.startswith("begin ") and long.endswith(" end")
    assert in_one_line(OSError(2, "No such file", "a\x1b[2J")) == r"No such file: a\x1b[2J"


def test_letters_that_a_stream_lacks_are_escaped():
    raw = io.BytesIO()
    stream = SafeStream(io.TextIOWrapper(raw, encoding="ascii"))
    print("Tür ± 1", file=stream, flush=True)
    assert raw.getvalue() == rb"T\xfcr \xb1 1" + b"\n"
    with pytest.raises(TypeError, match="must be str"):
        stream.write(b"x")
    assert not hasattr(stream, "buffer")


def test_a_message_of_the_library_is_one_line():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine("%(message)s"))
    record = logging.LogRecord("vggfeat", 30, "", 0, "%s: odd", ("a\nFailed: b\x1b[2J",), None)
    handler.emit(record)
    assert stream.getvalue() == "a\\nFailed: b\\x1b[2J: odd\n"
