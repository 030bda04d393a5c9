"""Run the notebook here and keep its outputs: `python docs/notebooks/run.py [--out FILE]`.

It needs nbclient, ipykernel and matplotlib. Environment variables that the notebook names reach it.
"""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "frozen_features.ipynb"
TIMEOUT_S = 1800  # of a cell, on a machine that has much else to do


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a kernel that starts in this folder.

    Raises CellExecutionError where a cell fails.
    """
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,  # so that running it again changes outputs alone
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=NOTEBOOK, help="where the result is written")
    out = parser.parse_args().out
    notebook = executed(nbformat.read(NOTEBOOK, as_version=4), Path.cwd())
    nbformat.write(notebook, out)


if __name__ == "__main__":
    main()
