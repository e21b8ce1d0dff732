"""What runs leave word of: durable, private, and read with care."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from captionfleet.deployment.lifecycle.owner import Owner
from captionfleet.deployment.lifecycle.records import Record, Records

FIELDS = {
    "api_base": "http://127.0.0.1:9",
    "account": "acme",
    "deployment_id": "omni",
    "api_key_env": "FIREWORKS_API_KEY",
}


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Records:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Records(tmp_path / "out")


def test_record_is_kept_in_both_places(records: Records, tmp_path: Path) -> None:
    """A record is in the state folder and in the output folder, and gone from both."""
    record = Record(**FIELDS)
    records.write(record)
    name = f"{record.record_id}.json"
    places = [tmp_path / "state/captionfleet/left-on" / name, tmp_path / "out/.left-on" / name]
    assert all(place.exists() for place in places)
    (kept,) = records.all()
    assert (kept.record, kept.fate) == (record, "alive")
    places[0].unlink()
    assert [one.record for one in records.all()] == [record]
    records.remove(record)
    assert records.all() == []
    assert not (tmp_path / "out/.left-on").exists()


def test_one_place_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the home is read-only, or there is none, the output folder keeps the record."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    records = Records(tmp_path / "out")
    records.write(Record(**FIELDS))
    assert len(records.all()) == 1


def test_user_without_a_home_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user that nothing is known of has no state folder, and no error."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", _no_home)
    assert Records().all() == []
    records = Records(tmp_path / "out")
    records.write(Record(**FIELDS))
    assert len(records.all()) == 1


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


SPOILT = {
    "cut off": b'{"record_id": "',
    "of nothing": b"",
    "a list": b"[]",
    "a name that is a path": b'{"record_id": "../../x"}',
    "endless": b'{"record_id": "' + b"a" * 10**6,
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_record_is_told_and_left_alone(
    name: str, records: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that cannot be read keeps no other from being heeded."""
    records.write(Record(**FIELDS))
    (tmp_path / "out/.left-on/0.json").write_bytes(SPOILT[name])
    assert len(records.all()) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_link_is_no_record(records: Records, tmp_path: Path) -> None:
    """A link or a FIFO among the records is neither followed nor waited for."""
    record = Record(**FIELDS)
    (tmp_path / "elsewhere").write_text(record.model_dump_json())
    folder = tmp_path / "out/.left-on"
    folder.mkdir(parents=True)
    (folder / "link.json").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "fifo.json")
    assert records.all() == []


def test_record_of_another_user_is_not_heeded(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record says where a key is sent, so nobody else may write one."""
    records.write(Record(**FIELDS))
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert records.all() == []


def test_process_is_alive_until_it_is_not() -> None:
    """A process that ended, a zombie, another with its number and an earlier boot are dead."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        this = Owner.this()
        stat = Path(f"/proc/{process.pid}/stat").read_text()
        other = this.model_copy(
            update={"pid": process.pid, "start_ticks": stat.rpartition(")")[2].split()[19]}
        )
        assert (this.fate(), other.fate()) == ("alive", "alive")
        assert this.model_copy(update={"start_ticks": "1"}).fate() == "dead"
        assert this.model_copy(update={"boot_id": "0" * 36}).fate() == "dead"
        assert this.model_copy(update={"host": "another"}).fate() == "elsewhere"
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert other.fate() == "dead"
    assert other.fate() == "dead"
