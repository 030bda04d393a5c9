"""DagNNs of MatConvNet as `net-epoch-N.mat` holds them: a chain of blocks as a SimpleNN's layers.

A DagNN is saved as a struct: `layers` with name, type, block, inputs, outputs and names of params,
and `params` with name and value. Only a chain is read; what compares its end with labels is left
out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vggfeat.errors import WeightsError
from vggfeat.weights.matconvnet.mat_values import as_list, is_name

PREFIX = "dagnn."
ASIDE = ("Loss", "PDist")  # compare the net's end with labels
# Type of a block -> the type of a SimpleNN's layer, and its fields by the names of the block's.
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "Conv": ("conv", {"pad": "pad", "stride": "stride", "dilate": "dilate"}),
    "ReLU": ("relu", {"leak": "leak"}),
    "Pooling": (
        "pool", {"pad": "pad", "stride": "stride", "poolSize": "pool", "method": "method"},
    ),
    "LRN": ("lrn", {"param": "param"}),
    "DropOut": ("dropout", {}),
    "SoftMax": ("softmax", {}),
}  # fmt: skip


def is_dagnn(net: Mapping[str, Any]) -> bool:
    """Whether a net's struct is a DagNN's."""
    first = next(iter(structs(net.get("layers"))), None)
    return isinstance(first, dict) and str(first.get("type", "")).startswith(PREFIX)


def simple_layers(net: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The layers of a DagNN as a SimpleNN has them. Raises WeightsError."""
    values = {
        param["name"]: param.get("value")
        for param in structs(net.get("params"))
        if isinstance(param, dict) and is_name(param.get("name"))
    }
    layers, before = [], None
    for number, layer in enumerate(structs(net.get("layers")), start=1):
        if not isinstance(layer, dict) or not is_name(layer.get("type")):
            raise WeightsError(f"{path}: layer {number} is no struct with a type. Get it again.")
        kind = layer["type"].removeprefix(PREFIX)
        if kind in ASIDE:
            continue
        name = layer["name"] if is_name(layer.get("name")) else f"layer {number}"
        if kind not in KINDS:
            raise WeightsError(
                f"{path}: not a net of the family A to E: {name} is of type {layer['type']}."
            )
        inputs, outputs = _texts(layer.get("inputs")), _texts(layer.get("outputs"))
        if len(inputs) != 1 or len(outputs) != 1 or (before and inputs != before):
            after = f"after {layers[-1]['name']}" if layers else "first"
            raise WeightsError(
                f"{path}: not a net of the family A to E: {after} comes {name}, which takes"
                f" {', '.join(inputs[:4]) or 'nothing'}. Only a chain of layers is read."
            )
        before = outputs
        layers.append(_simple(name, kind, layer, values))
    return layers


def _simple(
    name: str, kind: str, layer: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    type_, names = KINDS[kind]
    block = layer.get("block")
    block = block if isinstance(block, dict) else {}
    simple = {field: block[of_block] for of_block, field in names.items() if of_block in block}
    if type_ == "conv":
        simple["weights"] = [values.get(param) for param in _texts(layer.get("params"))]
    return simple | {"name": name, "type": type_}


def structs(value: Any) -> list:
    """An array of structs, of which a single one is no list."""
    return [value] if isinstance(value, dict) else as_list(value)


def _texts(value: Any) -> list[str]:
    """A cell of names; one name may stand alone."""
    texts = [value] if isinstance(value, str) else as_list(value)
    return [text for text in texts if is_name(text)]
