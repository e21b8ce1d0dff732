"""Append files: whole lines, whatever happens to them."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.errors import OutputError
from captionfleet.ledger.files import disk
from captionfleet.ledger.files.disk import AppendFile, create_folder, replace_atomically

records = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=40), max_size=3))


def opened(path: Path) -> int:
    """Open and close the file; how many lines were torn."""
    file = AppendFile(path)
    file.close()
    return file.torn_lines


@settings(deadline=None, max_examples=60)
@given(records, st.data(), st.integers(1, 9))
def test_any_prefix_of_a_file_keeps_its_whole_lines(
    lines: list[dict[str, str]], data: st.DataObject, chunk_bytes: int
) -> None:
    """Cut anywhere, a file keeps all lines that are complete, and nothing is thrown away."""
    whole = [orjson.dumps(line) + b"\n" for line in lines]
    content = b"".join(whole)
    prefix = content[: data.draw(st.integers(0, len(content)), "cut")]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "_CHUNK_BYTES", chunk_bytes)
        path = Path(folder, "captions.jsonl")
        path.write_bytes(prefix)

        torn_lines = opened(path)

        after = path.read_bytes()
        kept = [torn.read_bytes() for torn in Path(folder).glob("captions.jsonl.torn-*")]
        complete = next(n for n in range(len(whole), -1, -1) if prefix.startswith(_cut(whole, n)))
        assert after == b"".join(whole[:complete])
        assert torn_lines == (not (prefix.endswith(b"\n") or not prefix))
        assert b"".join(kept) in (b"", prefix[len(after) :])
        assert after + b"".join(kept) in (prefix, prefix + b"\n")
        assert opened(path) == 0


def _cut(whole: list[bytes], count: int) -> bytes:
    return b"".join(whole[:count]).removesuffix(b"\n")


def test_lines_follow_each_other(tmp_path: Path) -> None:
    """Every append tells where its line begins, after what the file held."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n")
    file = AppendFile(path)

    offsets = [file.append(line) for line in (b'{"a":1}\n', b'{"b":2}\n')]

    assert offsets == [3, 11]
    assert list(file.lines()) == [(0, b"{}\n"), (3, b'{"a":1}\n'), (11, b'{"b":2}\n')]
    file.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from captionfleet.errors import OutputError
from captionfleet.ledger.files.disk import AppendFile

file = AppendFile(Path(sys.argv[1]))
file.append(b"x" * 99 + b"\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))
try:
    file.append(b"y" * 99 + b"\\n")
except OutputError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.append(b"z\\n")
"""


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """A line that does not fit is an error, and nothing of it stays in the file."""
    path = tmp_path / "a.jsonl"

    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert run.stdout == f"cannot write {path}: File too large\n"
    assert path.read_bytes() == b"x" * 99 + b"\nz\n"


@pytest.mark.parametrize("move", [Path.unlink, lambda path: path.rename(f"{path}.old")])
def test_a_file_that_goes_meanwhile_is_an_error(
    move: Callable[[Path], object], tmp_path: Path
) -> None:
    """Lines are not written to a file where nobody will look for them."""
    file = AppendFile(tmp_path / "a.jsonl")
    move(tmp_path / "a.jsonl")

    with pytest.raises(OutputError, match="moved or removed"):
        file.append(b"{}\n")
    file.close()


def test_only_a_regular_file_is_written(tmp_path: Path) -> None:
    """A pipe or a folder in the file's place is refused at once."""
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(OutputError, match="regular file"):
        AppendFile(tmp_path / "fifo")
    with pytest.raises(OutputError, match="Is a directory"):
        AppendFile(tmp_path)


def test_a_file_in_the_folders_place_is_an_error_that_helps(tmp_path: Path) -> None:
    """Where no folder can be made the message says what is in the way."""
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="file is in the folder's place"):
            create_folder(folder)


def test_a_replacement_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A file is replaced as a whole or not at all, and no draft stays behind."""
    path = tmp_path / "run.json"
    path.write_bytes(b"old")

    with pytest.raises(ZeroDivisionError):
        replace_atomically(path, (b"x" * (1 // n) for n in (1, 0)))

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_is_on_the_disk_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new content is synced while the old one still has the name, then the folder is."""
    path = tmp_path / "run.json"
    path.write_bytes(b"old")
    fsync, seen = os.fsync, []

    def fsync_and_look(handle: int) -> None:
        fsync(handle)
        seen.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync_and_look)

    replace_atomically(path, iter([b"new"]))

    assert seen == [(False, b"old"), (True, b"new")]


def test_stranger_s_link_is_not_written_through(tmp_path: Path) -> None:
    """A link that another user planted in the output is replaced, its target left alone."""
    if os.geteuid() != 0:
        pytest.skip("only root may make a link somebody else's")
    target, link = tmp_path / "target", tmp_path / "run.json"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    replace_atomically(link, iter([b"{}\n"]))
    assert (target.read_bytes(), link.is_symlink(), link.read_bytes()) == (
        b"precious",
        False,
        b"{}\n",
    )


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    """A link that leads to itself is told in one line."""
    link = tmp_path / "captions.jsonl"
    link.symlink_to(link.name)
    with pytest.raises(OutputError, match="Too many levels of symbolic links"):
        AppendFile(link)


def test_link_of_the_owner_is_followed_and_stays(tmp_path: Path) -> None:
    """captions.jsonl may be a link to a file on another disk, there already or not."""
    (tmp_path / "big").mkdir()
    for name, before in (("old.jsonl", b"{}\n"), ("new.jsonl", None)):
        target, link = tmp_path / "big" / name, tmp_path / f"link-{name}"
        link.symlink_to(target)
        if before is not None:
            target.write_bytes(before)

        file = AppendFile(link)
        file.append(b'{"a":1}\n')
        file.rewrite(line for _, line in list(file.lines()))
        file.append(b'{"b":2}\n')
        file.close()

        assert link.is_symlink()
        assert target.read_bytes() == (before or b"") + b'{"a":1}\n{"b":2}\n'


def test_link_to_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """A link that came with the folder writes into no file of the user's, nor makes one."""
    secret = tmp_path / ".bashrc"
    secret.write_bytes(b"alias ls=ls")
    for target in (secret, tmp_path / "authorized_keys", Path("/dev/null")):
        link = tmp_path / f"link-to-{target.name}.jsonl"
        link.symlink_to(target)
        with pytest.raises(
            OutputError, match=rf"is a link to {target}; only your own links"
        ) as caught:
            AppendFile(link)
        assert "\n" not in str(caught.value)
    assert secret.read_bytes() == b"alias ls=ls"
    assert not (tmp_path / "authorized_keys").exists()


def test_link_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link, or a file behind it, that is not of the user who runs this is left alone."""
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "b.jsonl")
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    if (tmp_path / "a.jsonl").lstat().st_uid == 0:  # root's links are trusted
        os.chown(tmp_path / "a.jsonl", 4243, -1, follow_symlinks=False)

    with pytest.raises(OutputError, match="is a link to"):
        AppendFile(tmp_path / "a.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


def test_planted_draft_is_neither_followed_nor_in_the_way(tmp_path: Path) -> None:
    """Whatever lies under the name that a draft once had, only the file itself is written."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / ".run.json.new").symlink_to(secret)

    replace_atomically(tmp_path / "run.json", iter([b"new"]))

    assert (tmp_path / "run.json").read_bytes() == b"new"
    assert secret.read_bytes() == b"secret"


def test_drafts_of_killed_writers_go_once_they_are_old(tmp_path: Path) -> None:
    """A draft that nobody touched for an hour is removed; younger ones and other files stay."""
    old = [tmp_path / name for name in (".captions.jsonl.new", f".run.json.{'ab' * 8}.new")]
    kept = [tmp_path / f".run.json.{'cd' * 8}.new", tmp_path / "mine.new", tmp_path / ".mine"]
    for path in old + kept:
        path.touch()
    for path in [*old, *kept[1:]]:
        os.utime(path, (1, 1))

    disk.remove_old_drafts(tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted(kept)
