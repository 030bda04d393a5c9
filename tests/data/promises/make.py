"""How this folder was made, from the root of the checkout: python tests/data/promises/make.py

Told for whoever wants to know what the files are. It takes modules of the commit that the README
names, need not run with another one, and is never run again.
"""

import hashlib
import json
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from boxed import write_both  # noqa: E402

from vggfeat.benchmarks.actions import ACTIONS  # noqa: E402
from vggfeat.benchmarks.speed.record import read_all  # noqa: E402
from vggfeat.benchmarks.speed.tables import render  # noqa: E402
from vggfeat.benchmarks.voc import CLASSES  # noqa: E402
from vggfeat.cli import main, training  # noqa: E402

NUM_OBJECTS = 5  # in a VOC picture
FORMATS = ("table", "md", "csv", "json", "latex")
KEPT_FEATURES = (
    "caltech101-vgg11_width_0.0625_input_size_32-644b7f8a6c07.h5",  # one scale
    "caltech101-vgg11_width_0.015625_input_size_32-d5f394275f14.h5",  # two
    "voc2012-vgg11_*.h5",  # pictures and boxes
    "signs-*-vgg11_*-1eee7040acaa.h5",  # posteriors
    "signs-*-vgg11_*-a25cfa120af6.h5",
    "signs-*-vgg11_*-8067b427a9f5.h5",
)
TRAINING = ("interrupted", "pretrain", "localise-train")
ROUGHLY_TEXT = 10_000  # characters; of longer tables the digest is kept


def write_caltech(root: Path) -> None:
    for number, name in enumerate(("BACKGROUND_Google", "accordion", "wild_cat")):
        tint = np.random.default_rng(number).integers(60, 196, 3)
        for i in range(6):
            noise = np.random.default_rng([number, i]).integers(-60, 60, (4, 5, 3))
            colours = np.clip(tint + noise, 0, 255).astype(np.uint8)
            size = (44, 36) if i % 3 else (36, 46)
            path = root / name / f"image_{i + 1:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR).save(path, quality=60)


def write_voc(root: Path, counts: dict[str, int], test_labels: bool) -> None:
    """Five objects a picture, as strips; every class is in one of four pictures."""
    main_lists = root / "ImageSets" / "Main"
    for folder in (main_lists, root / "JPEGImages", root / "Annotations"):
        folder.mkdir(parents=True)
    number = 0
    for set_name, count in counts.items():
        names, labels = [], {name: [] for name in CLASSES}
        for _ in range(count):
            number += 1
            name = f"{number:06d}"
            names.append(name)
            random = np.random.default_rng([len(counts), test_labels, number])
            picture = Image.new("RGB", (45, 36), tuple(random.integers(100, 160, 3).tolist()))
            draw, objects, has = ImageDraw.Draw(picture), "", {}
            for j in range(NUM_OBJECTS):
                k = (NUM_OBJECTS * number + j) % len(CLASSES)
                upper, lower = (int(random.integers(*span)) for span in ((0, 10), (22, 36)))
                colour = np.random.default_rng(k).integers(0, 256, 3) + random.integers(-40, 40, 3)
                colour = tuple(np.clip(colour, 0, 255).tolist())
                draw.rectangle((9 * j, upper, 9 * j + 7, lower), colour)
                difficult = int((number + 3 * j) % 9 == 0)
                has[CLASSES[k]] = 0 if difficult else 1
                objects += (
                    f"<object><name>{CLASSES[k]}</name><difficult>{difficult}</difficult><bndbox>"
                    f"<xmin>{9 * j + 1}</xmin><ymin>{upper + 1}</ymin><xmax>{9 * j + 8}</xmax>"
                    f"<ymax>{lower + 1}</ymax></bndbox></object>"
                )
            for class_name in CLASSES:
                labels[class_name].append(f"{name} {has.get(class_name, -1):2d}\n")
            picture.save(root / "JPEGImages" / f"{name}.jpg", quality=60)
            (root / "Annotations" / f"{name}.xml").write_text(
                f"<annotation><filename>{name}.jpg</filename><size><width>45</width>"
                f"<height>36</height><depth>3</depth></size>{objects}</annotation>\n"
            )
        (main_lists / f"{set_name}.txt").write_text("".join(f"{name}\n" for name in names))
        if set_name != "test" or test_labels:
            for class_name, lines in labels.items():
                (main_lists / f"{class_name}_{set_name}.txt").write_text("".join(lines))


def write_actions(root: Path) -> None:
    """Two people a picture; `jumping` leaves out those of the first picture of each set."""
    folder = root / "ImageSets" / "Action"
    folder.mkdir()
    for set_name in ("train", "val", "test"):
        text = (root / "ImageSets" / "Main" / f"{set_name}.txt").read_text()
        (folder / f"{set_name}.txt").write_text(text)
        people = [(name, index) for name in text.split() for index in (1, 2)]
        for k, action in enumerate(ACTIONS):
            lines = ""
            for number, (name, index) in enumerate(people):
                if action == "jumping" and number < 2:
                    continue
                label = f" {1 if (number + k) % 3 == 0 else -1:2d}"
                lines += f"{name} {index}{label if set_name != 'test' else ''}\n"
            (folder / f"{action}_{set_name}.txt").write_text(lines)


def write_data(data: Path) -> None:
    write_caltech(data / "101_ObjectCategories")
    write_voc(data / "VOCdevkit" / "VOC2007", {"train": 8, "val": 8, "test": 8}, test_labels=True)
    voc2012 = data / "VOCdevkit" / "VOC2012"
    write_voc(voc2012, {"train": 8, "val": 8, "test": 3}, test_labels=False)
    write_actions(voc2012)
    write_both(data / "signs", train=4, val=3)


def run(arguments: str):
    """A command in this folder; its records shall name it as a user would have typed it."""
    sys.argv = ["vggfeat", *shlex.split(arguments)]
    print(arguments)
    result = CliRunner().invoke(main, sys.argv[1:])
    if result.exit_code not in (0, 128 + signal.SIGTERM):
        raise SystemExit(f"{arguments}: {result.stderr}") from result.exception
    return result


def interrupted(arguments: str) -> None:
    """The command, ended by SIGTERM in the second epoch."""

    class Display(training.TrainingDisplay):
        def __call__(self, status) -> None:
            super().__call__(status)
            if status.epoch == 1 and status.batch == 2:
                signal.raise_signal(signal.SIGTERM)

    usual, training.TrainingDisplay = training.TrainingDisplay, Display
    run(arguments)
    training.TrainingDisplay = usual


def write_tables(folder: Path) -> None:
    """What `table` prints of the records of results/ in every format that there is."""
    folder.mkdir()
    given = json.loads((HERE / "tables.json").read_text())
    paths = sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "results").rglob("*.json")
        if "speed" not in path.parts
    )
    (folder / "records.txt").write_text("".join(f"{path}\n" for path in paths))
    digests = {}
    for name, arguments in given.items():
        for form in FORMATS:
            result = CliRunner().invoke(
                main, ["table", *(a.replace("results", str(ROOT / "results"), 1)
                                  if a.startswith("results") else a for a in arguments.split()),
                       "--format", form],
            )  # fmt: skip
            if result.exit_code == 2:
                continue  # the command has no such format
            assert result.exit_code == 0, result.stderr
            digests[f"{name}.{form}"] = hashlib.sha256(result.stdout.encode()).hexdigest()
            if len(result.stdout) <= ROUGHLY_TEXT and form == "md":
                (folder / f"{name}.{form}").write_text(result.stdout)
    (folder / "sha256.json").write_text(json.dumps(digests, indent=1) + "\n")


def write_options(path: Path) -> None:
    found = {}

    def visit(command, name: str) -> None:
        found[name] = sorted(
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("-")
        )
        for inner, one in getattr(command, "commands", {}).items():
            visit(one, f"{name} {inner}".strip())

    visit(main, "")
    path.write_text(json.dumps(found, indent=1) + "\n")


def make() -> None:
    for name in ("data", "results", "cache", "saved", "tables", "speed"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    os.chdir(HERE)
    write_data(HERE / "data")
    write_options(HERE / "options.json")
    write_tables(HERE / "tables")
    commands = json.loads((HERE / "commands.json").read_text())
    (HERE / "printed").mkdir(exist_ok=True)
    trained = (HERE / "runs").is_dir()  # keys and names hold the weights' digest: made once
    if not trained:
        interrupted(commands["interrupted"])
    for name, arguments in commands.items():
        if name != "interrupted" and not (trained and name in TRAINING):
            result = run(arguments)
            (HERE / "printed" / f"{name}.txt").write_text(result.stdout)
            if arguments.startswith("datasets splits"):
                (HERE / "printed" / f"{name}-sha256.txt").write_text(result.stderr)
    # Only some feature files are kept, and of runs what promises hold.
    kept = {path for pattern in KEPT_FEATURES for path in (HERE / "cache").rglob(pattern)}
    shutil.rmtree(HERE / "cache" / "localisation")
    for path in [*HERE.rglob("*.h5"), *HERE.rglob("*.lock"), *HERE.rglob("best.safetensors")]:
        if path in kept:
            continue
        path.unlink()
    for path in (HERE / "runs").glob("*/checkpoints"):
        shutil.rmtree(path)
    # One record of speed is enough, and its part of the tables.
    kept_record = HERE / "speed" / "preparation" / "cpu.json"
    kept_record.parent.mkdir(parents=True)
    shutil.copy(ROOT / "results" / "speed" / "preparation" / "cpu.json", kept_record)
    told = render(read_all(HERE / "speed"), "table")
    (HERE / "speed" / "preparation.txt").write_text(told.strip() + "\n")


if __name__ == "__main__":
    make()
