"""Defines clips, and the files and rows that they come from; pure (any process)."""

from dataclasses import dataclass, field

__all__ = ["NO_ROW", "UNKNOWN_FILM", "Clip", "Film", "Row", "Source"]


@dataclass(frozen=True, slots=True)
class Row:
    """The values of a row of a list, besides the path.

    `number` is its place in the list at `list_path`, from 1; `prompt`, if any, replaces the job's;
    `start_s` and `end_s` are its window; without both, the job decides. `metadata` holds the other
    columns as JSON.
    """

    number: int
    id: str = ""
    prompt: str = ""
    start_s: float | None = None
    end_s: float | None = None
    metadata: str = "{}"
    list_path: str = ""


NO_ROW = Row(0)


@dataclass(frozen=True, slots=True)
class Source:
    """One file, as it was when it was found.

    `path` opens the file; `name` is relative to `root`, the folder that it was found under.
    `real_path` is absolute and free of links: it identifies the file under any name. All may hold
    undecodable bytes as surrogates (`os.fsdecode`).

    For an object, `path` is its address, `mtime_ns` a hash of its ETag, and `opens` the address
    with its signature, if any: this acts as a key, and must reach no file and no worker. Behind a
    URL, `time_version` is a hash of the time of change, or 0.
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
        """The path that identifies a clip of this file."""
        return self.real_path or self.path


@dataclass(frozen=True, slots=True)
class Film:
    """The measurements of a whole film, for cutting it into windows.

    `seconds` is the end of its last picture, from its zero; 0.0 if unknown. `is_joined` says that
    its clock is reset midway, so that seeking by time is impossible. `scene_ends_s` holds the ends
    of its scenes, the last one that of the film; empty if it was not searched.
    """

    seconds: float = 0.0
    is_joined: bool = False
    scene_ends_s: tuple[float, ...] = ()


UNKNOWN_FILM = Film()


@dataclass(frozen=True, slots=True)
class Clip:
    """One window of one source: the unit of work, payment and output.

    `stat_id` is its id by path, size and time, where `clip_id` is by content, or by the ETag of a
    web server. `stands_alone` says that the job asks for no other window of the film. `film` is
    unknown in jobs that do not caption whole films. `requests` names those that still need a
    caption of it, each of which ends as a line; usually empty in a job with one request.
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
        """The seconds of video in it, if its film has this length."""
        return max(0.0, min(self.end_s, source_s) - self.start_s)
