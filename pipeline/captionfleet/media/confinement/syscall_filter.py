"""Builds the seccomp filter that forbids system calls in a worker process (worker process; pure).

It lists refused calls, not allowed ones: C libraries and FFmpeg change the calls that they make,
and refusing a decoder's call would cost captions. Nothing that prepares a clip makes the calls
listed here. Landlock restricts which files may be opened; this filter forbids what needs no open
file: UDP and Unix sockets, other processes, new programs, permissions and times of files. It also
forbids truncate(2), which Landlock covers only from its third version on.

A program is a list of `struct sock_filter` (linux/filter.h) over `struct seccomp_data`
(linux/seccomp.h).
"""

import errno
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["program_for"]

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_NOT_THERE = 0x00050000 | errno.ENOSYS  # C libraries then fall back to a call that can be checked
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000  # a second set of the same calls, on x86_64
_CLONE_THREAD = 0x10000
_RLIMIT_CPU = 0
_PR_SET_PDEATHSIG = 1
# fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX; ioctl: FIOSETOWN, SIOCSPGRP, TIOCSTI. With the first five,
# the kernel sends signals to any process that is named.
_FCNTL_SIGNALS = (8, 10, 15)
_IOCTL_SIGNALS = (0x8901, 0x8902, 0x5412)

# name: (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h; None: not there.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "socketpair": (53, 199),
    "bind": (49, 200), "listen": (50, 201), "accept4": (288, 242), "sendto": (44, 206),
    "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "tkill": (200, 130), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41),
    "mount": (165, 40), "umount2": (166, 39), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "truncate": (76, 45), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88),
    "mknod": (133, None), "mknodat": (259, 33), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "inotify_init": (253, None),
    "inotify_init1": (294, 26), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setfsuid": (122, 151),
    "setfsgid": (123, 152), "setgroups": (116, 159), "capset": (126, 91),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
    "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "syslog": (103, 116), "personality": (135, 92), "vhangup": (153, 58),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
}  # fmt: skip


class _Architecture(NamedTuple):
    audit: int  # AUDIT_ARCH_…, linux/audit.h
    column: int
    clone: int
    kill: int
    tgkill: int
    rt_sigqueueinfo: int
    rt_tgsigqueueinfo: int
    prctl: int
    prlimit64: int
    setrlimit: int
    fcntl: int
    ioctl: int


_CLONE3 = 435
_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, 0, 56, 62, 234, 129, 297, 157, 302, 160, 72, 16),
    "aarch64": _Architecture(0xC00000B7, 1, 220, 129, 131, 138, 240, 167, 261, 164, 25, 29),
}

_Rule = list[tuple[int, int, int, int]]
"""Instructions: code, instructions to skip if true and if false, operand."""


def program_for(machine: str, pid: int) -> bytes | None:
    """The filter for process `pid` on this architecture (`os.uname().machine`); None if unknown."""
    known = _ARCHITECTURES.get(machine)
    if known is None:
        return None
    rules = [
        [(_LOAD, 0, 0, _ARCHITECTURE_AT), (_JUMP_IF_EQUAL, 1, 0, known.audit), _end(_REFUSE)],
        [(_LOAD, 0, 0, _NUMBER_AT), (_JUMP_IF_AT_LEAST, 0, 1, _X32), _end(_REFUSE)],
        *(_call(numbers[known.column], [_end(_REFUSE)]) for numbers in _REFUSED.values()),
        _call(_CLONE3, [_end(_NOT_THERE)]),
        *_conditional(known, pid),
        [_end(_ALLOW)],
    ]
    return b"".join(struct.pack("=HBBI", *line) for rule in rules for line in rule)


def _conditional(known: _Architecture, pid: int) -> list[_Rule]:
    """Calls that are refused depending on their arguments."""
    to_itself = (known.kill, known.tgkill, known.rt_sigqueueinfo, known.rt_tgsigqueueinfo)
    return [
        _call(known.clone, [_argument(0), (_JUMP_IF_SET, 1, 0, _CLONE_THREAD), _end(_REFUSE)]),
        *(_call(one, _only(0, (pid,))) for one in to_itself),
        _call(known.prctl, _never(0, (_PR_SET_PDEATHSIG,))),
        _call(known.setrlimit, _only(0, (_RLIMIT_CPU,))),
        _call(known.prlimit64, _own_cpu_time(pid)),
        _call(known.fcntl, _never(1, _FCNTL_SIGNALS)),
        _call(known.ioctl, _never(1, _IOCTL_SIGNALS)),
    ]


def _call(number: int | None, then: _Rule) -> _Rule:
    """Apply `then` at this call; control that reaches the end is allowed."""
    if number is None:
        return []
    return [(_JUMP_IF_EQUAL, 0, len(then) + 1, number), *then, _end(_ALLOW)]


def _only(place: int, values: tuple[int, ...]) -> _Rule:
    """Refuse all but these values of an argument."""
    tests = [(_JUMP_IF_EQUAL, left, 0, one) for one, left in _counted_down(values)]
    return [_argument(place), *tests, _end(_REFUSE)]


def _never(place: int, values: tuple[int, ...]) -> _Rule:
    """Refuse these values of an argument."""
    tests = [(_JUMP_IF_EQUAL, left - 1, left == 1, one) for one, left in _counted_down(values)]
    return [_argument(place), *tests, _end(_REFUSE)]


def _counted_down(values: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Each value, with the number of instructions to jump over after its test."""
    return zip(values, range(len(values), 0, -1), strict=True)


def _own_cpu_time(pid: int) -> _Rule:
    """prlimit64(pid, resource, new, old): allow reading, and setting the own CPU time."""
    return [
        (_LOAD, 0, 0, _ARGUMENTS_AT + 2 * 8),
        (_JUMP_IF_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 2 * 8 + 4),
        (_JUMP_IF_EQUAL, 6, 0, 0),  # no new limit: only reads
        _argument(1),
        (_JUMP_IF_EQUAL, 0, 3, _RLIMIT_CPU),
        _argument(0),
        (_JUMP_IF_EQUAL, 2, 0, 0),
        (_JUMP_IF_EQUAL, 1, 0, pid),
        _end(_REFUSE),
    ]


def _argument(place: int) -> tuple[int, int, int, int]:
    """Load the lower half of an argument: the numbers compared here are 32 bits wide."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * place)


def _end(answer: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, answer)
