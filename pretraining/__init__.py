"""Pretraining the nets on ImageNet. No recipe is in this version: see CHANGELOG.md."""

if __name__ != "vggfeat.pretraining":  # one file must not be loaded under two names
    raise ImportError("import vggfeat.pretraining instead; run `pip install -e .` first")
