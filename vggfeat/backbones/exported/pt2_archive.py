"""What may lie in a .pt2 file of torch.export, looked at before torch loads it.

torch.export.load falls back to unrestricted pickles, evaluates formulas and looks operators up by
name. An archive whose parts could make Python run something is refused.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from vggfeat.errors import WeightsError, reason_of

# What may lie in a .pt2: tensors as they are, the graph, and pickles of torch's own readers.
RECORD = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|extra/.*|models/model\.json"
    r"|data/(weights|constants)/((weight|tensor)_\d+|model_(weights|constants)_config\.json)"
    r"|data/(weights|constants|sample_inputs)/model\.pt"
)
# What it may compute with: torch's operators, and arithmetic on the sides of a picture.
OPERATOR = re.compile(
    r"torch\.ops(\.(?!__)\w+){2,3}|math\.(?!_)\w+|torch\._?sym_\w+"
    r"|_operator\.(?!_|call|attrgetter|methodcaller)\w+"
)
# Sides as formulas, such as Symbol('s0', integer=True) + 1, which sympy evaluates as Python code
# that may call Python's own functions: arithmetic with these words alone, and no attributes.
FORMULA = re.compile(r"(?:\w|'(?:\w|[-+]|\.(?=\d))*'|\.(?=\d)|(?<=\d)\.(?!\w)|[\s()+\-*/,<>=&|~])*")
WORD = re.compile(
    r"[a-z]{1,2}\d+"  # a side
    r"|Symbol|positive|negative|nonnegative|nonzero|integer|real|finite|even|odd"
    r"|Integer|Float|Rational|precision|True|False|true|false|oo|int_oo"
    r"|Add|Mul|Pow|Max|Min|Mod|Abs|FloorDiv|CeilDiv|CleanDiv|PythonMod|ModularIndexing"
    r"|IntTrueDiv|FloatTrueDiv|ToFloat|FloorToInt|CeilToInt|RoundToInt|TruncToInt|TruncToFloat"
    r"|PowByNatural|FloatPow|LShift|RShift|Where|Identity|floor|ceiling|sqrt"
    r"|Equality|Unequality|Eq|Ne|GreaterThan|LessThan|StrictGreaterThan|StrictLessThan"
    r"|Ge|Le|Gt|Lt|And|Or|Not"
)


def check_archive(content: io.BytesIO, path: Path) -> None:
    """Raise WeightsError for a .pt2 that would make Python run something while it is loaded.

    torch.export.load unpickles whatever it is given, runs machine code that lies in the file, and
    evaluates formulas as Python code.
    """
    refused = f"{path}: refused: it holds more than a graph and tensors"
    try:
        reader = torch._C.PyTorchFileReader(content)  # with which torch.export.load reads
        names = reader.get_all_records()
        with zipfile.ZipFile(content) as archive:
            is_old = "version" in archive.namelist()
    except Exception as error:
        raise WeightsError(
            f"{path}: not a whole .pt2 file of torch 2.8 or later ({reason_of(error)})."
        ) from error
    odd = [name for name in names if not RECORD.fullmatch(name)]
    if odd or is_old or len(set(names)) < len(names):
        raise WeightsError(f"{refused} ({odd[0] if odd else 'version'!r}). Nothing in it was run.")
    for name in names:
        if name.startswith("extra/"):
            continue
        if name.endswith(".json"):
            try:
                code = next(_not_computing(json.loads(reader.get_record(name))), None)
            except (ValueError, RecursionError) as error:
                raise WeightsError(f"{path}: not a whole .pt2 file ({error}).") from error
            if code:
                raise WeightsError(f"{refused} ({code}). Nothing in it was run.")
        elif name.endswith(".pt") and (pickled := reader.get_record(name)):
            try:
                torch.load(io.BytesIO(pickled), map_location="cpu", weights_only=True)
            except Exception as error:
                raise WeightsError(
                    f"{refused} ({name!r} is more than tensors). Nothing in it was run."
                ) from error


def is_plain(formula: str) -> bool:
    """Whether a formula is arithmetic and nothing else."""
    # Names as Python finds them; 1e-5 and 2.5 are none.
    words = re.findall(r"(?<![\w.])[^\W\d]\w*", re.sub(r"'[^']*'", "''", formula))
    return FORMULA.fullmatch(formula) is not None and all(map(WORD.fullmatch, words))


def _not_computing(values: object) -> Iterator[str]:
    """What in a program's JSON is neither an operator of torch's nor a formula."""
    if isinstance(values, list):
        for value in values:
            yield from _not_computing(value)
    elif isinstance(values, dict):
        for key, value in values.items():
            if key == "use_pickle" and value:
                yield "a pickle"
            elif key == "expr_str" and not (isinstance(value, str) and is_plain(value)):
                yield f"a formula {str(value)[:60]!r}"
            elif key in ("target", "as_operator") and isinstance(value, str):
                if not OPERATOR.fullmatch(value) and value.startswith(
                    ("torch", "_op", "math", "#")
                ):
                    yield f"an operator {value[:60]!r}"
            else:
                yield from _not_computing(value)
