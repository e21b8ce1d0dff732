"""Defines exceptions that end the run, and the failure codes of single clips (any process)."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

__all__ = [
    "ConfigError",
    "DeploymentError",
    "FailureCode",
    "LimitReached",
    "MachineError",
    "MediaError",
    "OutputError",
    "RunError",
    "Stage",
    "StoreError",
    "first_error_of",
    "first_run_error",
]


class Stage(StrEnum):
    """The stage in which a clip failed; part of the output format."""

    PRODUCER = "producer"
    WORKERS = "workers"
    SENDER = "sender"


class FailureCode(StrEnum):
    """Why a clip has no caption; part of the output format, so a code is never reused.

    `permanent` codes depend on the file's content alone, not on any setting: the same bytes fail
    again, so later runs skip the file until it changes.
    """

    BAD_ROW = "bad_row"
    SOURCE_MISSING = "source_missing"
    SOURCE_UNREADABLE = "source_unreadable"
    SOURCE_CHANGED = "source_changed"
    NOT_VIDEO = "not_video"
    EMPTY_FILE = "empty_file"
    CUT_OFF = "cut_off"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_FRAMES = "no_frames"
    UNSUPPORTED_CODEC = "unsupported_codec"
    UNSUPPORTED_COLOURS = "unsupported_colours"
    UNDECODABLE = "undecodable"
    LIMIT_EXCEEDED = "limit_exceeded"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    OUT_OF_MEMORY = "out_of_memory"
    PREPARE_TIMEOUT = "prepare_timeout"
    WORKER_CRASHED = "worker_crashed"
    UNEXPECTED = "unexpected"
    CONNECT_FAILED = "connect_failed"
    DISCONNECTED = "disconnected"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    SCALING_UP = "scaling_up"
    SERVER_ERROR = "server_error"
    STREAM_ERROR = "stream_error"
    MALFORMED_ANSWER = "malformed_answer"
    TRUNCATED_ANSWER = "truncated_answer"
    EMPTY_CAPTION = "empty_caption"
    UNFINISHED_ANSWER = "unfinished_answer"
    INVALID_STRUCTURE = "invalid_structure"
    STRUCTURE_CUT_OFF = "structure_cut_off"
    REJECTED = "rejected"
    PAYLOAD_REFUSED = "payload_refused"
    MODEL_NOT_FOUND = "model_not_found"
    UNAUTHORIZED = "unauthorized"

    @property
    def permanent(self) -> bool:
        """Whether the same file content fails the same way every time."""
        return self in _PERMANENT

    @property
    def meaning(self) -> str:
        """One sentence for people, as in the table of pipeline/README.md."""
        return _MEANINGS[self]


_PERMANENT = frozenset(
    {
        FailureCode.NOT_VIDEO,
        FailureCode.EMPTY_FILE,
        FailureCode.CUT_OFF,
        FailureCode.NO_VIDEO_STREAM,
        FailureCode.NO_FRAMES,
        FailureCode.UNSUPPORTED_CODEC,
        FailureCode.UNSUPPORTED_COLOURS,
        FailureCode.UNDECODABLE,
    }
)

_MEANINGS = {
    FailureCode.BAD_ROW: "a row of a list names no clip of its own: the detail says why",
    FailureCode.SOURCE_MISSING: "a file of a list, or an object of a bucket, does not exist",
    FailureCode.SOURCE_UNREADABLE: "the file could not be read (permissions, I/O error)",
    FailureCode.SOURCE_CHANGED: "the file changed or vanished while it was read",
    FailureCode.NOT_VIDEO: "the file is not a video container that this program opens",
    FailureCode.EMPTY_FILE: "the file has no bytes",
    FailureCode.CUT_OFF: "the file ends before its index or its pictures: an unfinished copy",
    FailureCode.NO_VIDEO_STREAM: "the file holds no video stream (sound or data only)",
    FailureCode.NO_FRAMES: "the video stream gave no frame in the clip's window",
    FailureCode.UNSUPPORTED_CODEC: "there is no decoder for the video stream",
    FailureCode.UNSUPPORTED_COLOURS: "Dolby Vision profile 5, whose colours need its metadata",
    FailureCode.UNDECODABLE: "the header is damaged, or too little of the video can be decoded",
    FailureCode.LIMIT_EXCEEDED: "the picture is larger than the limits allow",
    FailureCode.PAYLOAD_TOO_LARGE: "the prepared media exceed max_payload_bytes",
    FailureCode.OUT_OF_MEMORY: "preparing the clip needed more memory than a worker may have",
    FailureCode.PREPARE_TIMEOUT: "preparing the clip took longer than clip_timeout_s",
    FailureCode.WORKER_CRASHED: (
        "the worker process crashed on this clip, or left invalid media, twice"
    ),
    FailureCode.UNEXPECTED: "preparing the clip raised an unexpected error: please report it",
    FailureCode.CONNECT_FAILED: "no connection to the deployment",
    FailureCode.DISCONNECTED: "the connection broke before the answer was complete (or 499)",
    FailureCode.TIMEOUT: "no complete answer within timeout_s",
    FailureCode.OVERLOADED: "the deployment was saturated at every attempt (429, 503)",
    FailureCode.SCALING_UP: "the deployment did not come up in time",
    FailureCode.SERVER_ERROR: "the deployment answered 5xx (or 409) at every attempt",
    FailureCode.STREAM_ERROR: "an error event inside a streamed answer",
    FailureCode.MALFORMED_ANSWER: "the answer is not a chat completion",
    FailureCode.TRUNCATED_ANSWER: "the answer ended early",
    FailureCode.EMPTY_CAPTION: "the caption is empty, or thinking used up max_tokens",
    FailureCode.UNFINISHED_ANSWER: "the model refused, was filtered, or broke off",
    FailureCode.INVALID_STRUCTURE: "the answer is not JSON that fits response_schema, twice",
    FailureCode.STRUCTURE_CUT_OFF: "max_tokens ended the answer before its JSON was complete",
    FailureCode.REJECTED: "the deployment refused the request (4xx)",
    FailureCode.PAYLOAD_REFUSED: "the deployment refused the request's size (413)",
    FailureCode.MODEL_NOT_FOUND: "the deployment does not know the model string (404)",
    FailureCode.UNAUTHORIZED: "the deployment refused the key (401, 402, 403, 412)",
}


class RunError(Exception):
    """Raised when the run cannot go on; the message is one line that says how to fix it."""

    exit_code = 1


class ConfigError(RunError):
    """Raised when the job file, the arguments or the environment cannot be used."""

    exit_code = 2


class OutputError(RunError):
    """Raised when the output cannot be written, or another run holds the folder."""

    exit_code = 3


class DeploymentError(RunError):
    """Raised when no deployment is usable or the credentials are refused."""

    exit_code = 4


class LimitReached(RunError):  # noqa: N818 - a limit of the user is not an error
    """Raised when a limit that the user asked for stops the run."""

    exit_code = 5


class MachineError(RunError):
    """Raised when the machine gives the run no process or thread, or its program is gone."""

    exit_code = 6


def first_run_error(error: BaseExceptionGroup[RunError] | RunError) -> RunError:
    """The first error of an exception group, which is the one that ended the run."""
    if isinstance(error, BaseExceptionGroup):
        return first_run_error(error.exceptions[0])
    return error


async def first_error_of(
    step: Callable[[], Awaitable[None]], problem: RunError | None
) -> RunError | None:
    """Take a step even after an earlier error; return the first error of all."""
    try:
        await step()
    except RunError as error:
        return problem or error
    return problem


class MediaError(Exception):
    """Raised inside a worker when a clip cannot be prepared."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class StoreError(Exception):
    """Raised when the media store cannot be written."""

    def __init__(self, errno: int, reason: str) -> None:
        super().__init__(errno, reason)
        self.errno = errno
        self.reason = reason
