"""URLs as values: which texts are some, and how messages name them."""

import re
from urllib.parse import SplitResult, urlsplit

from vggfeat.errors import DownloadError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(text: str) -> bool:
    """Whether a text is a URL, and no path."""
    return URL.match(text) is not None


def split(url: str) -> SplitResult:
    """The parts of a URL. Raises DownloadError where it is none that can be asked for."""
    try:
        parts = urlsplit(url)
        is_one = parts.port != 0 and (parts.scheme not in ("http", "https") or parts.hostname)
    except ValueError:  # whose text may hold a password
        is_one = False
    if not is_one:
        raise DownloadError(
            f"{url.partition(':')[0]}://...: has no host, or a port that is none. Write"
            " SCHEME://HOST/PATH.tar."
        )
    return parts


def shown(url: str) -> str:
    """A URL as messages name it: without user, password and query. Raises DownloadError."""
    parts = split(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
