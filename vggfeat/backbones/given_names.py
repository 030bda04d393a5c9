"""Names that the user gives nets, by which tables show them: `--net NAME=SPEC`.

    my net=vgg16:width=0.25@weights.safetensors     "my net" in tables
    both=vgg16+vgg19                                a name of nets that are used together

A name belongs to what tables show only: features and records are found without it.
"""

import re
from collections.abc import Mapping, Sequence

from vggfeat.backbones.spec import Fusion, NetSpec, is_file, parse_fusion
from vggfeat.errors import OptionError
from vggfeat.vgg import CONFIGURATIONS

# No ":", "@", "/" or "+", so that no option and hardly a path is taken for a name.
_NAME = re.compile(r"\w[\w .-]*")
_NAMED = re.compile(rf"(?P<name>{_NAME.pattern})=(?P<spec>.*)")

Names = Mapping[Fusion, str]


def parse_named(texts: Sequence[str]) -> tuple[list[Fusion], dict[Fusion, str]]:
    """The nets of specifications, and the names of those that have one.

    Raises OptionError at a name that is another net's, UnknownNameError or OptionError at what is
    no specification.
    """
    fusions: list[Fusion] = []
    names: dict[Fusion, str] = {}
    for text in texts:
        name, spec = _split(text)
        if name and not spec:
            raise OptionError(f"{text}: no net stands behind the name, as in {text.strip()}vgg16.")
        fusion = parse_fusion(spec)
        fusions.append(fusion)
        if not name:
            continue
        check_name(name, text)
        if name in names.values() and names.get(fusion) != name:
            raise OptionError(f"{text}: another net is named {name!r}, too. Choose another name.")
        if names.setdefault(fusion, name) != name:
            raise OptionError(
                f"{text}: the same net is named {names[fusion]!r}, too. Leave one of them out."
            )
    return fusions, names


def name_of(fusion: Fusion, names: Names) -> str:
    """The name that was given to nets; before their ReLU, with that behind it; empty if none was.

    The nets of a sweep are those that were named, and the same ones without their ReLU.
    """
    if fusion in names:
        return names[fusion]
    if not all(isinstance(spec, NetSpec) for spec in fusion):  # loaded already, so never swept
        return ""
    with_relu = tuple(spec.with_option("relu", None) for spec in fusion)
    return f"{names[with_relu]}:relu=false" if with_relu in names else ""


def at_layers(
    fusions: Sequence[Fusion], names: Names, layers: Sequence[str]
) -> tuple[list[Fusion], dict[Fusion, str]]:
    """Every fusion at each of the layers, named with the layer where there are several."""
    at_each, named = [], {}
    for fusion in fusions:
        for layer in layers or (None,):
            at = fusion if layer is None else tuple(s.with_option("layer", layer) for s in fusion)
            at_each.append(at)
            if name := names.get(fusion):
                named[at] = f"{name}:layer={layer}" if len(layers) > 1 else name
    return at_each, named


def _split(text: str) -> tuple[str, str]:
    """The name, empty if there is none, and the specification."""
    named = _NAMED.fullmatch(text)
    if named is None or is_file(text):
        return "", text
    return named["name"].strip(), named["spec"].strip()


def check_name(name: str, text: str) -> None:
    """Raise OptionError at the name of a net, which would be taken for that one in tables.

    The same at one with other characters than a name may have.
    """
    if not _NAME.fullmatch(name):
        raise OptionError(f"{text}: {name!r} is no name. Use letters, digits, spaces, _, . and -.")
    if name not in CONFIGURATIONS:
        from vggfeat.weights.torchvision import NAMES  # 2 s to import

        if name not in NAMES:
            return
    raise OptionError(f"{text}: {name} is a net itself. Choose another name, such as 'my {name}'.")
