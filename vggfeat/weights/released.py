"""Released weights files that are known by name, downloaded once and verified.

torchvision's file names end with the first eight digits of the file's SHA-256, which is what a
download is checked against.
"""

from pathlib import Path

from vggfeat.errors import WeightsError
from vggfeat.fetch import Source, download

TORCHVISION_ADDRESS = "https://download.pytorch.org/models/"
TORCHVISION_FILES = {
    "vgg11": "vgg11-8a719046.pth",
    "vgg13": "vgg13-19584684.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "squeezenet1_0": "squeezenet1_0-b66bff10.pth",
}


def torchvision_file(net: str, folder: Path, *, offline: bool = False) -> Path:
    """The path of torchvision's ImageNet weights for a net, fetched into `folder` if need be.

    Raises WeightsError if torchvision has none for this net, DownloadError if they cannot be had.
    """
    if net not in TORCHVISION_FILES:
        raise WeightsError(
            f"torchvision has no weights for {net!r}, only for {', '.join(TORCHVISION_FILES)}."
            f" Give a file ({net}@FILE) or random weights ({net}@random:0)."
        )
    name = TORCHVISION_FILES[net]
    source = Source(TORCHVISION_ADDRESS + name, "sha256", _stated_digest(name))
    return download([source], folder, offline=offline)


def check_digest(path: Path, sha256: str) -> None:
    """Raise WeightsError if a file under a torchvision name has another digest than stated there.

    Downloads are checked as they arrive; this is for files that were put there by hand.
    """
    if not sha256.startswith(_stated_digest(path.name)):
        raise WeightsError(
            f"{path}: its SHA-256 starts with {sha256[:8]}, not with {_stated_digest(path.name)} as"
            " its name says: damaged, or another file. Remove it, and it will be fetched."
        )


def _stated_digest(name: str) -> str:
    return name.removesuffix(".pth").rsplit("-", 1)[1]
