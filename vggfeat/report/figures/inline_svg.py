"""Matplotlib's SVG -> an svg element that stands in a page beside others.

Ids and classes are the figure's own, colours become CSS variables, letters take the page's font.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
PIXELS_A_POINT = 96 / 72
GEOMETRY = ("d", "x", "y", "width", "height", "transform", "points")
_LONG = re.compile(r"-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"(?<=#)[^)#]+(?=\)?$)")  # of url(#...) and of #...
_CURVED = re.compile("[CQA]")
_FONT = re.compile(r" ?font(?:-family)?: [^;]*'[^;]*;?")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")


def inline_svg(svg: str, *, name: str, title: str, colours: Mapping[str, str]) -> str:
    """The root element of a file, with a title that it is labelled by.

    colours are what "#rrggbb" becomes, in lower case.
    """
    root = ElementTree.fromstring(svg)
    prefix = f"f{zlib.crc32(name.encode()):08x}"
    for parent in list(root.iter()):
        for child in list(parent):
            # The style would hold for the whole page; metadata is for files.
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    ids = _numbered((element.get("id") for element in root.iter()), f"{prefix}-")
    for element in root.iter():
        _shorten(element, ids)
    classes = _numbered((element.get("style") for element in root.iter()), f"{prefix}-c")
    for element in root.iter():
        if style := element.attrib.pop("style", None):
            element.set("class", classes[style])
    rules = "".join(f".{word}{{{style}}}" for style, word in classes.items())
    _complete_root(root, f"{prefix}-title", title, _COLOUR.sub(_becomes(colours), rules))
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _numbered(texts: Iterator[str | None], prefix: str) -> dict[str, str]:
    """Each text with a short name of its own."""
    return {text: f"{prefix}{n}" for n, text in enumerate(dict.fromkeys(filter(None, texts)))}


def _becomes(colours: Mapping[str, str]):
    return lambda found: colours.get(found[0], found[0])


def _shorten(element: Element, ids: Mapping[str, str]) -> None:
    """Names without namespaces, short ids and references, coordinates of two digits, no font."""
    element.tag = element.tag.removeprefix(f"{{{SVG}}}")
    attributes = {}
    for key, value in element.attrib.items():
        key = key.removeprefix(f"{{{XLINK}}}")
        if key == "id":
            value = ids[value]
        elif key == "style":
            value = _FONT.sub("", value).strip()
        elif key in GEOMETRY:
            value = " ".join(_LONG.sub(_shorter, value).split())
            if key == "d" and not _CURVED.search(value):
                value = value.replace(" L ", " ")  # what follows a point is a line to the next
        elif not value.startswith("data:"):
            value = _REFERENCE.sub(lambda found: ids.get(found[0], found[0]), value)
        if not value.startswith("rotate(-0 "):
            attributes[key] = value
    if element.tag == "g":  # nothing refers to these
        attributes.pop("id", None)
    if element.tag == "image":
        attributes["style"] = "image-rendering: pixelated; filter: var(--figure-image, none)"
    element.attrib = attributes


def _complete_root(root: Element, title_id: str, title: str, rules: str) -> None:
    """What the root element says, its title, and the rules of its classes."""
    _, _, width, height = root.get("viewBox", "").split()
    root.attrib = {
        "class": "figure",
        "viewBox": f"0 0 {width} {height}",
        "width": f"{float(width) * PIXELS_A_POINT:.0f}",
        "height": f"{float(height) * PIXELS_A_POINT:.0f}",
        "role": "img",
        "aria-labelledby": title_id,
        "style": "max-width: 100%; height: auto; font-family: inherit; stroke-linejoin: round",
    }
    for element in root.iter():  # the lines between elements
        if element.text is not None and not element.text.strip():
            element.text = None
        element.tail = None
    for tag, text, attributes in (("style", rules, {}), ("title", title, {"id": title_id})):
        child = Element(tag, attributes)
        child.text = text
        root.insert(0, child)


def _shorter(number: re.Match[str]) -> str:
    """A coordinate in points with two digits behind the point, which is more than is seen."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
