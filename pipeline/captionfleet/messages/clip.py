"""Clips, and the files and rows that they come from; pure (any process)."""

from dataclasses import dataclass, field

__all__ = ["NO_ROW", "UNKNOWN_FILM", "Clip", "Film", "Row", "Source"]


@dataclass(frozen=True, slots=True)
class Row:
    """What a row of a list says of its film, beside the path.

    `number` is its place in the list, from 1; `prompt`, if any, is asked instead of the job's;
    `start_s` and `end_s` are the window it asks for; both None is what the job takes of a film.
    `metadata` are the other columns, as JSON.
    """

    number: int
    id: str = ""
    prompt: str = ""
    start_s: float | None = None
    end_s: float | None = None
    metadata: str = "{}"


NO_ROW = Row(0)


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was found, as it was when it was found.

    `path` opens the file; `name` is relative to `root`, the folder that it was found under.
    `real_path` is absolute and holds no link: it is what the file is known by, under whatever names
    it was found. All may hold undecodable bytes as surrogates (`os.fsdecode`).

    Of an object, `path` is its address, `mtime_ns` a number made of its ETag, and `opens` the
    address with what signs it, if anything does: a key, which goes into no file and no worker.
    `time_version`, behind a URL, is a number made of its time of change; 0 where there is none.
    """

    path: str
    name: str
    size_bytes: int
    mtime_ns: int
    root: str = ""
    real_path: str = ""
    row: Row = NO_ROW
    opens: str = field(default="", repr=False)
    time_version: int = 0

    @property
    def known_path(self) -> str:
        """The path that a clip of this file is known by."""
        return self.real_path or self.path


@dataclass(frozen=True, slots=True)
class Film:
    """What was found out of a whole film, so that it could be cut into windows.

    `seconds` is where its last picture ends, from its zero; 0.0 where that is not known.
    `is_joined` says that its clock is set anew midway, so that no time in it can be sought.
    `scene_ends_s` is where its scenes end, the last one with the film; empty if nobody looked.
    """

    seconds: float = 0.0
    is_joined: bool = False
    scene_ends_s: tuple[float, ...] = ()


UNKNOWN_FILM = Film()


@dataclass(frozen=True, slots=True)
class Clip:
    """One window of one source: the unit of work, of payment and of output.

    `stat_id` is what it would be called by path, size and time, where `clip_id` goes by content, or
    by the ETag of a web server, of which each replica may have its own.
    `stands_alone` says that the job asks for no other window of the film. `film` is unknown for
    clips of jobs that do not ask for all windows. `requests` are the names of those that it still
    needs a caption for, each of which ends as a line; that of a job with one request is empty as a
    rule.
    """

    clip_id: str
    source: Source
    start_s: float
    end_s: float
    stat_id: str = ""
    stands_alone: bool = False
    film: Film = UNKNOWN_FILM
    requests: tuple[str, ...] = ("",)

    def video_s(self, source_s: float) -> float:
        """How much video it holds if its film is this long, in seconds."""
        return max(0.0, min(self.end_s, source_s) - self.start_s)
