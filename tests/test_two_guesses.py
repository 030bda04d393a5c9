"""Where is X decided? Each question has one file whose name says so, and the answer stands in it.

A newcomer finds it with two guesses: the package, then the file. Whoever moves a decision moves its
row here, and asks whether the new file's name still says what is decided there.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# question, file, a text that stands in it where the decision is made
ANSWERS = (
    (
        "Which layer is the descriptor where --net states none?",
        "vggfeat/backbones/defaults.py",
        'PAPER          = Defaults("fc7",            "dense"',
    ),
    (
        "Which view does a net have that takes pictures of one size only?",
        "vggfeat/backbones/defaults.py",
        "view_of_one_size: str",
    ),
    (
        "Which mean colour is subtracted from R, G and B?",
        "vggfeat/input_statistics.py",
        "mean=(123.68, 116.779, 103.939)",
    ),
    (
        "How many pictures go through a net at once?",
        "vggfeat/features/batches.py",
        "BATCH_PIXELS = 2**20",
    ),
    (
        "What is a mirrored picture, and which crops does a view show?",
        "vggfeat/features/views.py",
        "view.flip(3)",
    ),
    (
        "Over what is a descriptor averaged: positions, views, mirror images?",
        "vggfeat/features/heads/descriptor.py",
        "unflatten(0, (-1, len(batch))).mean(dim=0)",
    ),
    (
        "How are scales combined, and what is normalised to length one?",
        "vggfeat/features/aggregate.py",
        "l2_normalised(descriptors.mean(axis=1))",
    ),
    (
        "Which values of C does the SVM try?",
        "vggfeat/probes/svm.py",
        "C_GRID = (0.01, 0.1, 1.0, 10.0, 100.0)",
    ),
    (
        "Which C wins where several are equally good?",
        "vggfeat/probes/grid_search.py",
        "The smallest of equally good values wins.",
    ),
    (
        "Which pictures of an own folder validate a training?",
        "vggfeat/layouts/held_out.py",
        "HELD_OUT = 10",
    ),
    (
        "How do the seed and the number of a split decide who trains?",
        "benchmarks/protocols/random_splits.py",
        'sha256(f"{draw}/{i}".encode())',
    ),
    (
        "When is a measured number marked =, ~ or x?",
        "vggfeat/report/judge.py",
        'MARKS = {SAME: "=", NEAR: "~", NOT_COMPARABLE: "x"',
    ),
    (
        "What is a record's file called?",
        "vggfeat/records/record.py",
        'f"{slug}-{key}.json"',
    ),
    (
        "What changes the key of a record, so that it is measured again?",
        "benchmarks/record_key.py",
        '"probe": benchmark.task.settings(probe)',
    ),
    (
        "Which pictures are skipped, and when does one stop the extraction?",
        "vggfeat/features/picture_loader.py",
        'self.options.on_error == "stop"',
    ),
    (
        "What is the average precision of VOC 2007?",
        "vggfeat/metrics.py",
        "RECALL_LEVELS = (0.0, 0.1, 0.2, 3 * 0.1, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)",
    ),
    (
        "How many crops has the grid of `evaluate --views crops`, and where do they lie?",
        "vggfeat/features/crops.py",
        "GRID = 5",
    ),
    (
        "At which scales Q is a net tested that was trained at S?",
        "benchmarks/ilsvrc/scales.py",
        "PAPER_SCALE, PAPER_STEP = 256, 32",
    ),
    (
        "Up to which distance are two boxes merged?",
        "vggfeat/box_merging.py",
        "THRESHOLD = 0.25",
    ),
    (
        "When does the learning rate fall, and by how much?",
        "pretraining/schedule.py",
        "FACTOR = 0.1",
    ),
    (
        "What does vgg16-384 start from, and at which rate?",
        "pretraining/recipes.py",
        'Stage("vgg16-384",        "vgg16",     "vgg16-256",     S384,   1e-3, 2',
    ),
    (
        "When is a training given up as stuck?",
        "pretraining/stuck.py",
        "position.step >= recipe.stuck_after",
    ),
    (
        "Which checksum has VOC 2007's archive?",
        "benchmarks/datasets/voc2007.py",
        "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
    ),
    (
        "What was published for VGG-16 on Caltech-101?",
        "vggfeat/report/published.csv",
        'caltech101,11,very deep,"Published, 16 layers",vgg16,released Caffe model',
    ),
    (
        "In which type are descriptors stored?",
        "vggfeat/features/options.py",
        '"Type of the stored descriptors."',
    ),
    (
        "After how many seconds is a silent connection given up?",
        "vggfeat/storage/connection.py",
        "TIMEOUT_S = 30",
    ),
    (
        "What does --debug do?",
        "vggfeat/cli/verbosity.py",
        "traceback.print_exc()",
    ),
)


@pytest.mark.parametrize(
    "question, file, answer", ANSWERS, ids=[question for question, _, _ in ANSWERS]
)
def test_the_answer_stands_in_the_file_that_is_named_after_it(question, file, answer):
    assert answer in (ROOT / file).read_text(encoding="utf-8")


def test_there_are_enough_questions_to_say_something():
    assert len({question for question, _, _ in ANSWERS}) >= 25
