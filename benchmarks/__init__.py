"""The benchmarks: their datasets, splits and protocols."""

if __name__ != "vggfeat.benchmarks":  # one file must not be loaded under two names
    raise ImportError("import vggfeat.benchmarks instead; run `pip install -e .` first")
