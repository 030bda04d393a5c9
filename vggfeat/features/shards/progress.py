"""How many of all pictures are done, as far as the process that shows it can tell."""

from vggfeat.progress import Progress


class PicturesDone:
    """Turns parts, and how far the open one is, into pictures: `progress` is called with them.

    How many pictures there are nobody knows before all parts were open, so that each counts as
    having as many as the first that this process opens, and the label says that this is an
    estimate. The other processes are taken to be as far with their parts.
    """

    def __init__(self, progress: Progress, label: str, num_parts: int, num_processes: int):
        self.progress, self.num_parts, self.num_processes = progress, num_parts, num_processes
        self.label = label if num_parts == 1 else f"{label} (estimate)"
        self.each = self.part = self.done = 0

    def begin(self, part: int, num_pictures: int) -> None:
        """A part is open, which has so many pictures."""
        self.part, self.each = part, self.each or num_pictures
        self(self.label, 0, num_pictures)

    def __call__(self, label: str, done: int, total: int) -> None:
        """Of the open part so many pictures are done; as a Progress."""
        share = done / total if total else 0.0
        parts = self.part + share * min(self.num_processes, self.num_parts)
        if all_pictures := self.each * self.num_parts:
            self.done = max(self.done, min(int(parts * self.each), all_pictures - 1))
            self.progress(self.label, self.done, all_pictures)

    def end(self) -> None:
        """All parts are done, whoever did them."""
        if all_pictures := self.each * self.num_parts:
            self.progress(self.label, all_pictures, all_pictures)
