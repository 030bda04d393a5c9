"""Pretraining the nets by the recipe of the paper."""

if __name__ != "vggfeat.pretraining":  # one file must not be loaded under two names
    raise ImportError("import vggfeat.pretraining instead; run `pip install -e .` first")
