"""The benchmarks: their datasets, splits, protocols and the published numbers."""

from pathlib import Path

if __name__ != "vggfeat.benchmarks":  # one file must not be loaded under two names
    raise ImportError("import vggfeat.benchmarks instead; run `pip install -e .` first")

PUBLISHED = Path(__file__).with_name("published.csv")
