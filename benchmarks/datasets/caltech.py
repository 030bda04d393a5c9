"""Caltech-101 and Caltech-256 by the paper's protocol (appendix B).

3 random splits of 30 (Caltech-256: 60) training pictures a class, and at most 50 (all others) to
test; C chosen on 20 % of the training pictures, scales stacked, mean class recall. The background
of Caltech-101 and the clutter of Caltech-256 count as classes: 102 and 257.
"""

from vggfeat.benchmarks.datasets.class_folder_protocol import ClassFolderProtocol

CALTECH101 = ClassFolderProtocol(
    name="caltech101",
    title="Caltech-101",
    train_per_class=30,
    test_per_class=50,
    scales=(256, 384, 512),
    aggregate="stack",
    background="BACKGROUND_Google",
)
CALTECH256 = ClassFolderProtocol(
    name="caltech256",
    title="Caltech-256",
    train_per_class=60,
    test_per_class=None,
    scales=(256, 384, 512),
    aggregate="stack",
    background="257.clutter",
)
