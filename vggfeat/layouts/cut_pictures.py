"""The pictures of a folder or a table, whose ids fit into memory, part by part: `CutPictures`."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from vggfeat.layouts.picture_parts import Part, PictureParts
from vggfeat.layouts.unlabelled import UnlabelledPictures


class CutPictures(PictureParts):
    """Pictures in the order of their ids, `rows` a part."""

    def __init__(self, pictures: UnlabelledPictures, rows: int):
        self.pictures, self.rows = pictures, rows
        self.num_parts = -(-len(pictures.ids) // rows)
        ids = "\0".join(pictures.ids)
        self.digest = hashlib.sha256(f"{rows} of {ids}".encode()).hexdigest()
        self.name = f"pictures-{self.digest[:12]}"

    @contextmanager
    def opened(self, part: int) -> Iterator[Part]:
        """A `with` block in which the pictures of a part can be read."""
        ids = self.pictures.ids[part * self.rows :][: self.rows]
        yield Part({i: self.pictures.root / i for i in ids})
