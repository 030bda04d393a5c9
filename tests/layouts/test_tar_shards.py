"""Pictures inside tars: by other programs' tars, and what can be wrong with a tar."""

import io
import subprocess
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from helpers.pictures import write_picture
from PIL import Image

from vggfeat import images
from vggfeat.errors import DatasetError, PictureError
from vggfeat.layouts.tar_shards import TarShards, part_of

IDS = ["a", "b.left", "b.right", "sub/größe 1"]
NAMES = ["a.jpg", "b.left.png", "b.right.png", "sub/größe 1.JPG"]


@pytest.fixture
def folder(tmp_path):
    """Pictures with labels and texts beside them, and what is no sample."""
    for seed, name in enumerate(NAMES):
        write_picture(tmp_path / "in" / name, (24, 16), seed=seed)
    for name in ("a.cls", "a.json", "b.txt", ".hidden.jpg", "__MACOSX/._a.jpg"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"1")
    return tmp_path / "in"


def packed(tmp_path, *members, form=tarfile.GNU_FORMAT):
    """A tar by Python's tarfile, of (name, content) or TarInfo."""
    path = tmp_path / "some.tar"
    with tarfile.open(path, "w", format=form, errors="surrogateescape") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return path


def jpeg(seed=0):
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 24, 3), 40 * seed, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def special(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def broken(path):
    part = part_of(path, path.name)
    return list(part.pictures), {name.replace(f"{path.name}, member ", ""): reason
                                 for name, reason in part.broken.items()}  # fmt: skip


@pytest.mark.parametrize("form", ["gnu", "oldgnu", "pax", "ustar", "v7"])
@pytest.mark.parametrize("start", [".", "*"])
def test_tars_of_gnu_tar_are_read_in_place(folder, tmp_path, form, start):
    tar = tmp_path / "of gnu.tar"
    subprocess.run(f"tar --format={form} --sort=name -cf '{tar}' {start}", shell=True, cwd=folder,
                   check=True)  # fmt: skip
    shards = TarShards([str(tar)], tmp_path)
    with shards.opened(0) as part:
        assert not part.broken and sorted(part.pictures) == IDS
        for name, i in zip(NAMES, IDS, strict=True):
            member, file = part.pictures[i], folder / name
            assert images.picture_size(member) == (24, 16)
            assert images.picture_bytes(member) == file.stat().st_size
            assert images.picture_content(member) == file.read_bytes()
            assert images.digest(member) == images.digest(file)
            np.testing.assert_array_equal(images.decode(member), images.decode(file))
            assert str(member) == f"{tar}, member {name}"


def test_pictures_keep_the_order_of_the_tar_and_long_names_are_whole(tmp_path):
    names = ["z.jpg", f"{'long/' * 60}a.jpg", "a.jpg"]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / "long.tar"
        with tarfile.open(path, "w", format=form) as tar:
            for name in names:
                tar.addfile(tarfile.TarInfo(name))
        assert [f"{i}.jpg" for i in part_of(path, "x").pictures] == names


def test_the_digest_knows_names_and_sizes_and_not_where_tars_lie(tmp_path):
    first = packed(tmp_path, ("a.jpg", jpeg()))
    moved = tmp_path / "elsewhere" / "some.tar"
    moved.parent.mkdir()
    moved.write_bytes(first.read_bytes())
    parts = TarShards([str(first)], tmp_path)
    assert TarShards([str(moved)], tmp_path).digest == parts.digest
    assert parts.name == f"tars-{parts.digest[:12]}"
    moved.write_bytes(first.read_bytes() + bytes(512))
    assert TarShards([str(moved)], tmp_path).digest != parts.digest
    assert TarShards([str(first.rename(tmp_path / "b.tar"))], tmp_path).digest != parts.digest


def test_what_is_no_picture_is_reported_by_name_and_the_others_are_read(tmp_path):
    path = packed(
        tmp_path,
        ("../up.jpg", b"x"), ("/absolute/./a.jpg", jpeg()), ("a.jpg", jpeg()), ("a.png", b"x"),
        ("n\udcff.jpg", b"x"), ("line\nfeed.jpg", b"x"), ("x.jpg/", b""), ("b.jpg", jpeg()),
        ("é" * 3000 + ".jpg", b""), special("link.jpg", tarfile.SYMTYPE, "b.jpg"),
        special("hard.jpg", tarfile.LNKTYPE, "b.jpg"), special("device.jpg", tarfile.CHRTYPE),
        special("folder.jpg", tarfile.DIRTYPE), special("odd.jpg", b"Z"),
        special("link.txt", tarfile.SYMTYPE, "b.jpg"),
    )  # fmt: skip
    ids, reasons = broken(path)
    assert ids == ["absolute/a", "a", "line\nfeed", "b"]
    long = next(name for name in reasons if name.startswith("é"))
    assert "6,004 bytes, and 4,096" in reasons.pop(long) and len(long) < 200
    assert reasons == {
        "../up.jpg": "leads out of the tar by '..'",
        "a.png": "is a second picture of the key a",
        "n\\udcff.jpg": "has a name that is no text in UTF-8",
        "link.jpg": "is a link, and no file",
        "hard.jpg": "is a link, and no file",
        "device.jpg": "is a device, and no file",
        "odd.jpg": "is of a kind that tars do not have, and no file",
    }


def test_sparse_members_are_reported(tmp_path):
    with (tmp_path / "hole.jpg").open("wb") as file:
        file.truncate(2**20)
        file.seek(2**19)
        file.write(b"x")
    for form in ("gnu", "pax"):
        subprocess.run(["tar", f"--format={form}", "-Scf", "s.tar", "hole.jpg"], cwd=tmp_path,
                       check=True)  # fmt: skip
        ids, reasons = broken(tmp_path / "s.tar")
        assert not ids and "sparse" in reasons["hole.jpg"]


def test_a_cut_tar_has_its_pictures_up_to_the_cut(tmp_path):
    path = packed(tmp_path, ("a.jpg", jpeg(0)), ("b.jpg", jpeg(1)))
    whole = path.read_bytes()
    second = 512 + (len(jpeg(0)) + 511) // 512 * 512  # its header

    def after(num_bytes):
        path.write_bytes(whole[:num_bytes])
        return broken(path)

    ids, reasons = after(second + 600)  # in the picture
    assert ids == ["a"] and reasons["b.jpg"].startswith("is cut: the tar ends after ")
    assert "unexpected end of data" in reasons["some.tar"]
    for cut in (second, second + 100):  # between two, and in the header
        ids, reasons = after(cut)
        assert ids == ["a"] and "without an end mark" in reasons["some.tar"]
    assert after(0) == ([], {"some.tar": "is empty"})
    assert after(100) == ([], {"some.tar": "is no tar"})


def test_what_tarfile_passes_over_in_silence_is_reported(tmp_path):
    path = packed(tmp_path, ("a.jpg", jpeg(0)), ("b.jpg", jpeg(1)))
    whole = bytearray(path.read_bytes())
    second = 512 + (len(jpeg(0)) + 511) // 512 * 512

    def changed(content):
        path.write_bytes(whole[:second] + content + whole[second + 512 :])
        return broken(path)

    zeroed, flipped = bytes(512), bytes([whole[second] ^ 1]) + whole[second + 1 : second + 512]
    assert changed(zeroed) == (["a"], {"some.tar": f"has its end mark at byte {second:,}, and more"
                                                   " after it"})  # fmt: skip
    assert changed(flipped) == (["a"], {"some.tar": f"has a damaged header at byte {second:,}"})


def test_sizes_below_zero_end_the_scan(tmp_path):
    """Unpatched versions of tarfile would read such a tar for ever (CVE-2025-8194)."""
    info = tarfile.TarInfo("a.jpg")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (2**96 - 1024).to_bytes(12, "big")  # -1024
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path = tmp_path / "some.tar"
    path.write_bytes(info.tobuf() + bytes(block) + bytes(1024))
    ids, reasons = broken(path)
    assert "damaged header" in reasons["some.tar"]


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"\n<!DOCTYPE html><html>Please log in</html>", "is a web page, and no tar"),
        (b"\x1f\x8b\x08" + bytes(600), "is compressed"),
        (b"no tar" * 200, "is no tar"),
        (jpeg(), "is no tar"),
    ],
)
def test_what_is_no_tar_is_reported_as_what_it_is(tmp_path, content, reason):
    path = tmp_path / "some.tar"
    path.write_bytes(content)
    ids, reasons = broken(path)
    assert not ids and reasons["some.tar"].startswith(reason)


def test_an_empty_tar_has_no_pictures_and_nothing_is_broken(tmp_path):
    assert broken(packed(tmp_path)) == ([], {})


def test_a_tar_that_changes_after_the_scan_is_an_error_that_names_it(tmp_path):
    path = packed(tmp_path, ("a.jpg", jpeg()))
    part = part_of(path, "s3://bucket/some.tar")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(PictureError, match=r"^s3://bucket/some.tar, member a.jpg: cannot be read"):
        images.decode(part.pictures["a"])
    path.unlink()
    with pytest.raises(PictureError, match="member a.jpg: no such picture"):
        images.picture_content(part.pictures["a"])
    with pytest.raises(DatasetError, match=r"some.tar: cannot be read \(No such file"):
        part_of(path, "some.tar")


FIELDS = [(0, 100), (124, 12), (156, 1), (257, 8), (345, 155), (386, 96), (483, 12)]  # of a header


def damaged(rng, content):
    """Some bytes changed, or a field of a header with its checksum made to fit; then maybe cut."""
    content = bytearray(content)
    for position in rng.integers(0, len(content), rng.integers(1, 6)):
        content[position] = rng.integers(256)
    if rng.integers(2):
        header = rng.integers(len(content) // 512) * 512
        start, size = FIELDS[rng.integers(len(FIELDS))]
        field = [rng.bytes(size), b"\xff" * size, b"\x80" + rng.bytes(size - 1), b"7" * size]
        content[header + start : header + start + size] = field[rng.integers(4)]
        content[header + 148 : header + 156] = b" " * 8
        checksum = sum(content[header : header + 512])
        content[header + 148 : header + 156] = b"%06o\0 " % checksum
    return content[: rng.integers(1, len(content) + 1)] if rng.integers(4) == 0 else content


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_damaged_bytes_never_end_in_a_traceback(tmp_path, form):
    members = [(f"{'n' * 90 * i}{i}.jpg", b"x" * 600 * i) for i in range(4)]
    path = packed(tmp_path, *members, form=form)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        path.write_bytes(damaged(rng, whole))
        part = part_of(path, "some.tar")
        for i, member in part.pictures.items():
            assert len(images.picture_content(member)) == member.size
            assert i.encode() and ".." not in i.split("/") and i[0] != "/"
        assert all("\n" not in text for entry in part.broken.items() for text in entry)


def tars_of(tmp_path, *names):
    """A tar of a picture for each name."""
    for n, name in enumerate(names):
        (tmp_path / f"s/{n}").mkdir(parents=True)
        packed(tmp_path, (name.replace("jpg", "json"), b"{}"), (name, jpeg(n))).rename(
            tmp_path / f"s/{n}/x.tar"
        )
    return [str(tmp_path / f"s/{n}/x.tar") for n in range(len(names))]


def ids_of(shards):
    ids = []
    for number in range(shards.num_parts):
        with shards.opened(number) as part:
            assert not part.broken
            assert [p.name for p in part.pictures.values()] == ["a/0.jpg"] * len(part.pictures)
            ids += part.pictures
    return ids


def test_keys_that_begin_anew_in_every_tar_get_its_name_before_them(tmp_path, caplog):
    shards = TarShards(tars_of(tmp_path, "a/0.jpg", "a/0.jpg"), tmp_path)
    assert ids_of(shards) == ["0/x/a/0", "1/x/a/0"]
    assert (
        "both begin with the key a/0: ids are names of tars and keys, such as 0/x/a/0"
        in caplog.text
    )
    alone = TarShards(shards.tars[:1], tmp_path)
    assert ids_of(alone) == ["a/0"]


def test_a_tar_whose_name_is_no_text_cannot_stand_in_ids(tmp_path):
    content = packed(tmp_path, ("0.jpg", jpeg())).read_bytes()
    tars = [tmp_path / name for name in ("a.tar", "\udcff.tar")]
    for tar in tars:
        tar.write_bytes(content)
    with pytest.raises(DatasetError, match="is no text in UTF-8. Rename it"):
        TarShards([str(tar) for tar in tars], tmp_path)


def test_remote_tars_are_read_as_local_ones_and_missing_ones_are_broken(tmp_path):
    memory = fsspec.filesystem("memory")
    paths = tars_of(tmp_path, "a/0.jpg", "a/0.jpg")
    urls = [f"memory://bucket/{n}.tar" for n in range(2)]
    for path, url in zip(paths, urls, strict=True):
        memory.pipe(url, Path(path).read_bytes())
    try:
        shards = TarShards(urls, tmp_path / "copies")
        assert ids_of(shards) == ["0/a/0", "1/a/0"]
        with shards.opened(1) as part:
            (picture,) = part.pictures.values()
            assert str(picture) == "memory://bucket/1.tar, member a/0.jpg"
            assert images.picture_content(picture) == jpeg(1)
        memory.rm(urls[1])
        with shards.opened(1) as part:
            assert not part.pictures and part.broken == {urls[1]: "no such file"}
        assert not list((tmp_path / "copies").iterdir())
    finally:
        memory.store.clear()
