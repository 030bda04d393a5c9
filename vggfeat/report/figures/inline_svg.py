"""Matplotlib's SVG -> an svg element that stands in a page beside others.

Ids get the figure's name before them, colours become CSS variables, letters take the page's font.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
PIXELS_A_POINT = 96 / 72
GEOMETRY = ("d", "x", "y", "width", "height", "transform", "points")
_LONG = re.compile(r"-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r" ?font(?:-family)?: [^;]*'[^;]*;?")


def inline_svg(svg: str, *, name: str, title: str, colours: Mapping[str, str]) -> str:
    """The root element of a file, with a title that it is labelled by.

    colours are what "#rrggbb" becomes, in lower case.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            # The style would hold for the whole page; metadata is for files.
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        _rewrite(element, name, colours)
    _, _, width, height = root.get("viewBox", "").split()
    root.attrib = {
        "class": "figure",
        "viewBox": f"0 0 {width} {height}",
        "width": f"{float(width) * PIXELS_A_POINT:.0f}",
        "height": f"{float(height) * PIXELS_A_POINT:.0f}",
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "style": "max-width: 100%; height: auto; font-family: inherit; stroke-linejoin: round",
    }
    heading = ElementTree.Element("title", {"id": f"{name}-title"})
    heading.text = title
    root.insert(0, heading)
    for element in root.iter():  # the lines between elements
        if element.text is not None and not element.text.strip():
            element.text = None
        element.tail = None
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element, name: str, colours: Mapping[str, str]) -> None:
    """Ids, references, colours, fonts and numbers of one element."""
    attributes = {}
    for key, value in element.attrib.items():
        key = key.removeprefix(f"{{{XLINK}}}")
        if key == "id":
            value = f"{name}-{value}"
        elif key == "href" and value.startswith("#"):
            value = f"#{name}-{value[1:]}"
        elif key in GEOMETRY:
            value = " ".join(_LONG.sub(_shorter, value).split())
        value = _REFERENCE.sub(rf"url(#{name}-\1)", value)
        if key == "style":
            value = _FONT.sub("", value)
            value = re.sub(r"#[0-9a-f]{6}\b", lambda c: colours.get(c[0], c[0]), value)
        if not value.startswith("rotate(-0 "):
            attributes[key] = value
    if element.tag == "g":  # nothing refers to these
        attributes.pop("id", None)
    if element.tag == "image":
        attributes["style"] = "image-rendering: pixelated"
    element.attrib = attributes


def _shorter(number: re.Match[str]) -> str:
    """A coordinate in points with two digits behind the point, which is more than is seen."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
