"""URLs as values: which texts are some, and how messages name them."""

import re
from urllib.parse import urlsplit

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(text: str) -> bool:
    """Whether a text is a URL, and no path."""
    return URL.match(text) is not None


def shown(url: str) -> str:
    """A URL as messages name it: without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
