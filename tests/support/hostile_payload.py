"""What code would try that had taken over a worker process through a decoder.

Every door is a function that returns if it is open and raises an OSError if it is shut.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from io import FileIO
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, NoReturn

from captionfleet.errors import FailureCode, MediaError, StoreError
from captionfleet.media.orders import Header, Prepared
from captionfleet.messages import MediaFacts

_PTRACE_SEIZE = 0x4206  # which attaches without stopping
_PTRACE, _PROCESS_VM_READV = 101, 310  # x86_64; elsewhere they are calls that are refused as well


class Targets(NamedTuple):
    """What there is to be had: a file of secrets, the output, a folder, three listeners, and media.

    `entry` is another clip's in the store, `held` another clip's that waits to be sent; both
    without their endings.
    """

    secret: str
    captions: str
    link: str
    folder: str
    source: str
    tcp_port: int
    udp_port: int
    unix_path: str
    abstract_name: str
    entry: str
    held: str


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _system_call(number: int, *arguments: int) -> None:
    _checked(ctypes.CDLL(None, use_errno=True).syscall(number, *map(ctypes.c_long, arguments)))


def _read(path: str) -> None:
    Path(path).read_bytes()


def _append(path: str) -> None:
    with Path(path).open("ab"):
        pass


def _connect(family: int, kind: int, address: Any) -> None:
    with socket.socket(family, kind) as client:
        client.connect(address)
        client.send(b"stolen")


def _start_program() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def _fork() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _raise_limit(kind: int) -> None:
    soft, hard = resource.getrlimit(kind)
    if resource.RLIM_INFINITY not in {soft, hard}:
        resource.setrlimit(kind, (hard + 1, hard + 1))


def _have_the_parent_signalled() -> None:
    import fcntl  # noqa: PLC0415 - loaded where it is tried, as an attacker would

    reading, _ = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, os.getppid())


def _replace(own: Path, target: str) -> None:
    own.write_bytes(b"planted")
    own.replace(target)


def _write_through_a_link(own: Path, target: str) -> None:
    own.unlink(missing_ok=True)
    own.hardlink_to(target)
    own.write_bytes(b"planted")


def _doors_to_media(own: Path, name: str, base: str) -> dict[str, Callable[[], object]]:
    media = Path(f"{base}.mp4")
    return {
        f"read the {name}": partial(_read, f"{base}.mp4"),
        f"write the {name}": partial(_append, f"{base}.mp4"),
        f"cut the {name}": partial(os.truncate, media, 0),
        f"date the {name}": partial(os.utime, media, (1, 1)),
        f"replace the {name}": partial(_replace, own, f"{base}.mp4"),
        f"link to the {name}": partial(_write_through_a_link, own, f"{base}.mp4"),
        f"add to the {name}": partial(_append, f"{base}.planted"),
        f"list the {name}": partial(os.listdir, media.parent),
        f"remove the {name}": media.unlink,  # last: without it, the other doors seem shut
    }


def _doors(to: Targets, own: Path) -> dict[str, Callable[[], object]]:
    doors = _doors_to_machine(to)
    for name, base in (("stored media", to.entry), ("media that wait", to.held)):
        doors |= _doors_to_media(own, name, base)
    store = Path(to.entry).parents[1]
    return doors | {
        "make a folder in the store": Path(store, "ee").mkdir,
        "write to another worker's folder": partial(
            _append, f"{Path(to.held).parent}/worker-1/1.mp4"
        ),
        "unlock the run": Path(f"{own.parents[1]}.lock").unlink,
    }


def _doors_to_machine(to: Targets) -> dict[str, Callable[[], object]]:
    parent = os.getppid()
    inet, unix = socket.AF_INET, socket.AF_UNIX
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    return {
        "read the parent's environment": partial(_read, f"/proc/{parent}/environ"),
        "read the parent's memory": partial(_read, f"/proc/{parent}/auxv"),
        "attach to the parent": partial(_system_call, _PTRACE, _PTRACE_SEIZE, parent, 0, 0),
        "copy the parent's memory": partial(_system_call, _PROCESS_VM_READV, parent, 0, 0, 0, 0, 0),
        "signal the parent": partial(os.kill, parent, 0),
        "have the kernel signal the parent": _have_the_parent_signalled,
        "reschedule the parent": partial(
            os.setpriority, os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent)
        ),
        "outlive the parent": partial(_checked_prctl, 1, 0),
        "connect by TCP": partial(_connect, inet, stream, ("127.0.0.1", to.tcp_port)),
        "send by UDP": partial(_connect, inet, datagram, ("127.0.0.1", to.udp_port)),
        "connect to a Unix socket": partial(_connect, unix, stream, to.unix_path),
        "connect to an abstract socket": partial(_connect, unix, stream, to.abstract_name),
        "read a secret": partial(_read, to.secret),
        "read a secret through a link": partial(_read, to.link),
        "list a folder": partial(os.listdir, to.folder),
        "read the source by its name": partial(_read, to.source),
        "read captions": partial(_read, to.captions),
        "write captions": partial(_append, to.captions),
        "replace captions": partial(os.replace, to.secret, to.captions),
        "cut captions": partial(os.truncate, to.captions, 0),
        "open captions to all": partial(os.chmod, to.captions, 0o666),
        "write beside captions": partial(_append, f"{to.folder}/.planted"),
        "link beside captions": partial(os.symlink, to.secret, f"{to.folder}/.planted-link"),
        "start a program": _start_program,
        "fork": _fork,
        "raise the memory limit": partial(_raise_limit, resource.RLIMIT_AS),
        "raise the limit of open files": partial(_raise_limit, resource.RLIMIT_NOFILE),
        "rank itself last to be killed": partial(_lower_oom_score),
    }


def _checked_prctl(*arguments: int) -> None:
    _checked(ctypes.CDLL(None, use_errno=True).prctl(*map(ctypes.c_long, arguments)))


def _lower_oom_score() -> None:
    Path("/proc/self/oom_score_adj").write_text("0")


def attack(to: Targets, _clip: object, _spec: object, own: Path, *_: object) -> NoReturn:
    """Try every door, in the place of `prepare_clip`, and say which were open."""
    signal.alarm(0)
    own.write_bytes(b"")  # which it may, or else nothing would be tried of what needs a file
    found = [name for name, try_door in _doors(to, own).items() if _is_open(try_door)]
    raise MediaError(FailureCode.UNDECODABLE, json.dumps(found))


def _is_open(try_door: Callable[[], object]) -> bool:
    try:
        try_door()
    except (OSError, ValueError):  # the latter of limits that may not be raised
        return False
    return True


def leave(kind: str, secret: str, _clip: object, _spec: object, own: Path, *_: object) -> Any:
    """Leave something else than media, in the place of `prepare_clip`, and report media."""
    video = own.with_suffix(".mp4")
    made = Prepared(_FACTS)
    match kind:
        case "link":
            video.symlink_to(secret)
        case "pipe":
            os.mkfifo(video)
        case "second name":
            video.write_bytes(b"media")
            own.with_name("kept.mp4").hardlink_to(video)
        case "open file":
            video.write_bytes(b"media")
            Thread(target=_change_on, args=(video.open("r+b", buffering=0),), daemon=True).start()
        case "trouble":
            raise StoreError(errno.EACCES, "a lie")
        case "other answer":
            return Header("h264", 2, 2, 1.0)
    return made


def _change_on(file: FileIO) -> None:
    for number in count():
        file.seek(0)
        file.write(b"%05d" % (number % 100_000))
        time.sleep(0.001)  # leave the processor to the others


_FACTS = MediaFacts(
    frames=2, width=2, height=2, has_audio=False, audio_s=0.0, sampling="exact", video_bytes=5,
    audio_bytes=0, payload_bytes=8, video_sha256="", audio_sha256=None, source_codec="h264",
    source_width=2, source_height=2, source_s=1.0,
)  # fmt: skip


def start(code: str, to: Targets) -> str:
    """The code that starts a worker, with the attack in the place of what prepares clips."""
    return _planted(code, f"attack, Targets(*{tuple(to)!r})")


def start_and_leave(code: str, kind: str, secret: str) -> str:
    """The same, with what leaves something else than media."""
    return _planted(code, f"leave, {kind!r}, {secret!r}")


def _planted(code: str, arguments: str) -> str:
    planted = f"""
    import functools
    import captionfleet.media.prepare
    from tests.support.hostile_payload import Targets, attack, leave
    captionfleet.media.prepare.prepare_clip = functools.partial({arguments})
"""
    serve = "serve(int("
    assert code.count(serve) == 1
    return code.replace(serve, f"if True:{planted}{serve}")
