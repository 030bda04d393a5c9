"""Figures as files and inline in a page: the same bytes, texts as text, ids of their own."""

import re
import sys
from xml.etree import ElementTree

import pytest

from vggfeat.errors import OptionError
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.table import Table

MARKUP = "<b>ant & bee</b> $x$"


def draw(canvas):
    axes = canvas.subplots()
    axes.plot([1, 2, 3], [1 / 3, 2, 1], **style.series(0), label=MARKUP)
    axes.imshow([[0, 1]], extent=(1, 2, 0, 1))
    axes.legend()


def figure(name="a-figure"):
    return Figure(name=name, title=MARKUP, caption="", table=Table.of(["x"], []), draw=draw)


@pytest.mark.parametrize("form", style.FORMS)
def test_the_same_figure_gives_the_same_bytes(form, tmp_path):
    first, second = (style.save(figure(), tmp_path / name, form) for name in "ab")
    assert first == tmp_path / "a" / f"a-figure.{form}"
    assert first.read_bytes() == second.read_bytes()
    assert b"Date" not in first.read_bytes()


def test_what_the_user_set_in_matplotlib_changes_nothing(tmp_path):
    import matplotlib

    first = style.save(figure(), tmp_path, "svg").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        assert style.save(figure(), tmp_path, "svg").read_bytes() == first


def test_a_form_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OptionError, match="png, svg, pdf; got 'gif'"):
        style.save(figure(), tmp_path, "gif")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_a_user_reads_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"pip install 'vggfeat\[plot\]'"):
        style.save(figure(), tmp_path, "png")


def test_an_inline_svg_is_an_image_with_a_title_whose_names_stay_text():
    text = style.as_svg(figure())
    assert text.startswith("<svg ") and "<?xml" not in text and "DOCTYPE" not in text
    root = ElementTree.fromstring(text)
    title = root.find("title")
    assert root.get("role") == "img" and title.text == MARKUP
    assert root.get("aria-labelledby") == title.get("id")
    assert MARKUP in [element.text for element in root.iter("text")]  # letters are letters


def test_an_inline_svg_takes_colours_and_font_of_the_page():
    text = style.as_svg(figure())
    assert "var(--figure-1, #0072b2)" in text and "var(--fg, #222222)" in text
    assert not re.findall(r"(?<!, )#(?:222222|0072b2)", text)
    assert "DejaVu" not in text and "font-family: inherit" in text


def test_ids_and_classes_of_two_figures_in_a_page_differ():
    names = [
        set(re.findall(r'(?:id|class)="([^"]*)"', style.as_svg(figure(name)))) - {"figure"}
        for name in ("one", "other")
    ]
    assert names[0] and not names[0] & names[1]


def test_every_reference_of_an_inline_svg_leads_somewhere():
    text = style.as_svg(figure())
    ids = set(re.findall(r' id="([^"]*)"', text))
    references = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)|labelledby="([^"]*)"', text)
    assert references and {"".join(found) for found in references} <= ids
    assert not re.findall(r"https?://", text)


def test_letters_of_long_names_are_cut_in_the_middle_and_of_labels_never():
    assert style.short("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
    assert style.short("bell\a") == "bell\\x07"
    long = "squeezenet1_0+timm/tf_efficientnet_lite0, logistic, scales 256 384 512"
    assert style.wrapped(long, 30).split("\n")[0] == "squeezenet1_0+"
    assert style.wrapped(long, 30).replace("\n", " ").replace("+ ", "+") == long
    assert style.wrapped("x" * 99, 11) == "xxxxx…xxxxx"
