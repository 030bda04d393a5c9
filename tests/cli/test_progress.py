"""Progress: a line that is renewed on a terminal of any width, else plain lines now and then."""

from types import SimpleNamespace

import pytest
from helpers.terminals import seen, written_to_terminal

from vggfeat.cli import status_line
from vggfeat.cli.progress import ProgressDisplay, TrainingDisplay
from vggfeat.cli.status_line import Fact, columns, cut, fitted
from vggfeat.pretraining.monitor import Status

LONG = "extracting vgg16:width=0.125,input_size=32@the-weights-of-a-long-name-256.safetensors"
SHOWN = (
    "import logging, time; from vggfeat.cli.messages import set_up_messages;"
    "from vggfeat.cli.progress import ProgressDisplay; set_up_messages(False);"
    "display = ProgressDisplay(False)\n"
    f"with display:\n for done in (1, 2, 3): display({LONG!r}, done, 4)\n"
    " logging.warning('odd'); display.line.written = 0; display('fetching, MB', 7, 0)\n"
    "print('end')"
)


@pytest.fixture
def clock(monkeypatch):
    """The clock of the displays, which the test moves."""
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(status_line, "time", clock)
    return clock


@pytest.fixture
def told(capsys):
    """The lines on stderr since it was asked last."""
    return lambda: capsys.readouterr().err.splitlines()


# In a pipe, a log or a file


def test_a_short_stage_says_nothing(clock, told):
    with ProgressDisplay(quiet=False) as display:
        for done in range(5):
            display("extracting", done, 4)
    assert told() == []


def test_a_long_one_says_every_ten_seconds_how_far_it_came_and_what_it_took(clock, told):
    with ProgressDisplay(quiet=False) as display:
        for done in range(0, 6001, 250):  # 250 a second
            display("extracting", done, 6000)
            clock.now += 1
    assert told() == [
        "extracting: 2,500 of 6,000, 250/s, 14 s left",
        "extracting: 5,000 of 6,000, 250/s, 4 s left",
        "extracting: 6,000 of 6,000, 250/s, in 24 s",
    ]


def test_days_leave_some_hundred_lines_and_yet_one_every_ten_minutes(clock, told):
    display, times = ProgressDisplay(quiet=False), []
    for second in range(0, 3 * 86400, 5):
        clock.now = 100.0 + second
        display("extracting", second, 10**7)
        times += [second] * len(told())
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert len(times) < 600 and times[0] == 10
    assert gaps[0] == 10 and max(gaps) <= 605


def test_a_total_that_is_not_known_and_one_of_nothing(clock, told):
    display = ProgressDisplay(quiet=False)
    for done in (0, 7):
        display("fetching, MB", done, 0)
        clock.now += 20
    display("nothing", 0, 0)
    assert told() == ["fetching: 7 MB, 0.35 MB/s"]


def test_a_download_that_begins_again_has_no_rate(clock, told):
    with ProgressDisplay(quiet=False) as display:
        display("fetching, MB", 50, 100)
        clock.now += 30
        display("fetching, MB", 2, 100)
        assert told() == ["fetching: 2 of 100 MB"]


def test_a_quiet_one_says_nothing(clock, told):
    display = ProgressDisplay(quiet=True)
    for done in range(5):
        display("extracting", done, 4)
        clock.now += 60
    assert told() == []


def test_a_line_breaks_off_nothing_that_a_name_holds(clock, told):
    display = ProgressDisplay(quiet=False)
    for done in (0, 1):
        display("a\x1b[2J\nb", done, 2)
        clock.now += 10
    assert told() == [r"a\x1b[2J\nb: 1 of 2, 0.1/s, 10 s left"]


def status(**changes) -> Status:
    facts = {"stage": "vgg16-256", "epoch": 2, "epochs": 74, "batch": 3, "num_batches": 9,
             "loss": 4.5, "rate": 0.01, "error": ("top-1 error", 0.5), "images_per_s": 120.0,
             "seconds_left": 30.0}  # fmt: skip
    return Status(**facts | changes)


def test_training_says_where_it_stands_at_the_end_of_epochs_that_take_a_while(clock, told):
    display = TrainingDisplay(quiet=False)
    for _ in range(3):
        display(status(batch=9))
        clock.now += 6
    assert told() == [str(status(batch=9))]
    display(status(batch=9, epoch=74))  # the last one
    assert told() == [str(status(batch=9, epoch=74))]


# On a terminal


@pytest.mark.parametrize("width", [30, 40, 80, 120])
def test_the_line_stays_one_line_and_messages_stand_above_it(width):
    written = written_to_terminal(["-c", SHOWN], columns=width)
    first, *_, rest = written.partition("\n")
    assert max(map(len, written.replace("\n", "\r").split("\r"))) < width + len("\x1b[33m\x1b[0m")
    assert first.count("\r") > 2 and "extr" in first and rest
    assert seen(written, width) == ["Warning: odd", "fetching: 7 MB", "end", ""]


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"JPY_PARENT_PID": "1"}])
def test_a_dumb_terminal_and_a_notebook_get_plain_lines(environment):
    assert "\r" not in written_to_terminal(["-c", SHOWN], **environment)


FACTS = [Fact("5 of 10", 1), Fact("50 %", 2), Fact("3/s", 3), Fact("4 min left", 0)]


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (80, "decoding: [###############---------------] 5 of 10, 50 %, 3/s, 4 min left"),
        (40, "decoding: 5 of 10, 50 %, 3/s, 4 min left"),
        (39, "decoding: 5 of 10, 50 %, 4 min left"),
        (30, "decoding: 5 of 10, 4 min left"),
        (20, "decoding: 4 min left"),
        (14, "de: 4 min left"),
        (9, "d: ...eft"),
    ],
)
def test_what_can_be_missed_is_left_out_first(width, line):
    assert fitted("decoding", FACTS, 0.5, width) == line


def test_a_long_name_is_cut_in_its_middle():
    assert cut("abcdefghij", 9) == "abc...hij" and cut("abc", 3) == "abc"
    assert columns("東京") == 4 and cut("東京東京東京", 9) == "東京...京"
    for width in range(1, 120):
        assert columns(fitted(LONG, FACTS, 0.5, width)) <= width


def test_the_line_of_training_keeps_the_epoch_and_the_time_left():
    line = fitted("vgg16-256", [Fact(*fact) for fact in status().facts], None, 60)
    assert line == "vgg16-256: epoch 2 of 74, at most 30 s left"
