"""Formats a run's progress within a given width; pure (main process)."""

from dataclasses import dataclass

from captionfleet import text

__all__ = ["Picture", "escaped", "fitting", "rate_in_words", "shortened"]

_NARROW = 60  # columns that two lines need
_LEAST_REASON = 40  # columns that a reason always has
_LEAST_NAME = 6  # columns for the deployment's name; in fewer, only its state is shown
_ANY_WIDTH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a progress display shows at one moment.

    `total` may grow while `is_growing`. `rate` and `left` are texts, and `facts` are below the bar.
    `waiting` says what the run waits for, if it makes no progress; `waited` says for how long.
    """

    done: int
    total: int | None
    unit: str = "clips"
    is_growing: bool = False
    rate: str = ""
    left: str = ""
    facts: tuple[str, ...] = ()
    waiting: str = ""
    waited: str = ""

    @property
    def share(self) -> float:
        """The share that is done, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    def counted(self, *, ascii_only: bool = False) -> str:
        """Done of total; `≥` precedes a total that may grow."""
        if self.total is None:
            return f"{self.done:,}"
        at_least = (">=" if ascii_only else "\N{GREATER-THAN OR EQUAL TO}") * self.is_growing
        return f"{self.done:,}/{at_least}{self.total:,}"

    def percent(self) -> str:
        """The share as a percentage of fixed width; never 100 % before the end."""
        if not self.total:
            return "    "
        whole = self.done >= self.total and not self.is_growing
        return f"{100 if whole else min(int(self.share * 100), 99):3d}%"

    def bar_format(self, columns: int, *, ascii_only: bool = False) -> str:
        """The line with the bar, as tqdm takes it; tqdm fills `{bar}` up to the width."""
        counted = self.counted(ascii_only=ascii_only)
        if columns < _NARROW:
            line = f"{self.percent()} {counted} "
            if self.waiting:
                line += self._waits("waiting: ", columns - len(line), ascii_only=ascii_only)
            else:
                line += " ".join(filter(None, [self.rate, self.left]))
            return escaped(fitting(line, columns, ascii_only=ascii_only))
        right = "  ".join(filter(None, [f"{counted} {self.unit}", self.rate, self.left]))
        return f"{self.percent()}|{{bar}}| {escaped(right)}"

    def below(self, columns: int, *, ascii_only: bool = False) -> str | None:
        """The line below the bar; None if there is no room for two lines."""
        if columns < _NARROW:
            return None
        facts = [*self.facts]
        waits = self._waits("waiting for ", _ANY_WIDTH, ascii_only=ascii_only)
        if not self.waiting:
            return fitting("     " + ", ".join(facts), columns, ascii_only=ascii_only)
        room = columns - len("     ")
        while facts and room - len(", ".join(facts)) - 2 < min(len(waits), _LEAST_REASON):
            facts.pop()  # the reason to wait matters more
        before = "".join(f"{fact}, " for fact in facts)
        return f"     {before}" + self._waits(
            "waiting for ", room - len(before), ascii_only=ascii_only
        )

    def _waits(self, words: str, columns: int, *, ascii_only: bool) -> str:
        """The reason to wait and its duration; a long reason is shortened."""
        end = f", {self.waited}" if self.waited else ""
        room = columns - len(words) - len(end)
        return words + shortened(self.waiting, room, ascii_only=ascii_only) + end

    def plain(self) -> str:
        """Everything in one line of any length, for a log."""
        percent = f" ({self.percent().strip()})" if self.total else ""
        said = [self._waits("waiting for ", _ANY_WIDTH, ascii_only=False)] if self.waiting else []
        parts = [f"{self.counted()} {self.unit}{percent}", self.rate, self.left, *self.facts, *said]
        return ", ".join(filter(None, parts))


def fitting(line: str, columns: int, *, ascii_only: bool = False) -> str:
    """The line, cut at the last column."""
    if len(line) <= columns:
        return line
    mark = "..." if ascii_only else "\N{HORIZONTAL ELLIPSIS}"
    return line[: max(columns - len(mark), 0)] + mark[: max(columns, 0)]


def shortened(reason: str, columns: int, *, ascii_only: bool = False) -> str:
    """A reason, as in `omni-a: scaling up`, in at most `columns`; its name is dropped first."""
    name, colon, state = reason.partition(": ")
    if not colon or len(reason) <= columns:
        return fitting(reason, columns, ascii_only=ascii_only)
    room = columns - len(colon + state)
    named = fitting(name, room, ascii_only=ascii_only) + colon if room >= _LEAST_NAME else ""
    return fitting(named + state, columns, ascii_only=ascii_only)


def rate_in_words(per_s: float | None) -> str:
    """A rate per second, or per minute where that is less than one; empty if unknown."""
    if not per_s:
        return ""
    if per_s >= 1:
        return f"{text.short(round(per_s, 1))}/s"
    return f"{per_s * 60:.3g}/min"


def escaped(line: str) -> str:
    """A line with its braces escaped for a tqdm format."""
    return line.replace("{", "{{").replace("}", "}}")
