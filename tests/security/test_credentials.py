"""A key goes to its own deployment, in one header, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
import structlog
from structlog.testing import capture_logs

from captionfleet.check.asking import ask_deployment
from captionfleet.errors import ConfigError, DeploymentError
from captionfleet.sender.fleet import open_fleet
from captionfleet.telemetry import Tally
from tests.support.ready import job, ready_clip
from tests.support.replica import ScriptedReplica, Step, answer, caption, error_body, raw, scripted
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

KEY = "fw_S3cr3tS3cr3tS3cr3t"


@pytest.fixture(autouse=True)
def key_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.delenv("FIREWORKS_API_KEY", raising=False)


def everything_about(error: BaseException | None) -> str:
    """The text of an exception and of all exceptions behind it."""
    told = ""
    while error is not None:
        told += f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__
    return told


async def test_key_stands_in_the_authorization_header_alone(tmp_path: Path) -> None:
    """The key arrives as a bearer token, and in no other header, URL or body."""
    async with scripted() as replica:
        await sent(
            job(replica.base_url, api_key_env="TEST_KEY"), [ready_clip(tmp_path)], check=True
        )
    for seen in replica.seen:
        assert seen.headers["authorization"] == f"Bearer {KEY}"
        others = {name: v for name, v in seen.headers.items() if name != "authorization"}
        assert KEY not in f"{others} {seen.url} {seen.body!r}"


async def test_each_deployment_gets_its_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deployments see their own key only, a third without a key sees none."""
    monkeypatch.setenv("OTHER_KEY", "other")
    async with scripted() as first, scripted() as second, scripted() as third:
        plan = job(first.base_url, second.base_url, third.base_url, max_in_flight=1)
        keys = ("TEST_KEY", "OTHER_KEY", "")
        deployments = tuple(
            deployment.model_copy(update={"api_key_env": name})
            for deployment, name in zip(plan.deployments, keys, strict=True)
        )
        clips = [ready_clip(tmp_path, f"c{n}") for n in range(12)]
        await sent(plan.model_copy(update={"deployments": deployments}), clips)
    for replica, expected in ((first, f"Bearer {KEY}"), (second, "Bearer other"), (third, None)):
        assert replica.seen
        assert {seen.headers.get("authorization") for seen in replica.seen} == {expected}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[ScriptedReplica], str]:
    """Have a replica stand for another machine, by way of a proxy; the base URL of that."""

    def placed(replica: ScriptedReplica) -> str:
        monkeypatch.setenv("http_proxy", replica.base_url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "")
        return "http://gpu.example/v1"

    return placed


@pytest.mark.parametrize(("named", "expected"), [(None, None), ("FIREWORKS_API_KEY", KEY)])
async def test_vendors_key_goes_to_others_only_by_name(
    named: str | None,
    expected: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: Callable[[ScriptedReplica], str],
) -> None:
    """FIREWORKS_API_KEY goes to another's server only where the job names it for that server."""
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    async with scripted() as replica:
        plan = job(elsewhere(replica), api_key_env=named)
        with capture_logs() as logs:
            await sent(plan, [ready_clip(tmp_path)], check=True)
    told = {seen.headers.get("authorization") for seen in replica.seen}
    assert told == {expected and f"Bearer {expected}"}
    reasons = [one["reason"] for one in logs if one["event"] == "no key is sent"]
    withheld = "FIREWORKS_API_KEY is not sent to gpu.example unless api_key_env names it"
    assert reasons == ([] if named else [withheld])


async def test_vendors_key_goes_to_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in on this machine is asked as the service is."""
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    async with scripted() as replica:
        await sent(job(replica.base_url, api_key_env=None), [ready_clip(tmp_path)])
    assert {seen.headers["authorization"] for seen in replica.seen} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(("named", "is_told"), [("TEST_KEY", True), ("", False)])
async def test_key_over_plain_http_is_warned_of(
    named: str,
    tmp_path: Path,
    elsewhere: Callable[[ScriptedReplica], str],
    *,
    is_told: bool,
) -> None:
    """A run and a check say that a key can be read on its way to another machine."""
    async with scripted() as replica:
        plan = job(elsewhere(replica), api_key_env=named)
        with capture_logs() as logs:
            await sent(plan, [ready_clip(tmp_path)], check=True)
        found = await ask_deployment(plan, plan.deployments[0], [])
    warned = [one for one in logs if "unencrypted" in one["event"]]
    assert [(one["host"], one["key"]) for one in warned] == (
        [("http://gpu.example:80", "TEST_KEY")] if is_told else []
    )
    assert found.findings[0].level == ("warn" if is_told else "ok")
    assert ("unencrypted to http://gpu.example:80" in found.findings[0].text) is is_told


@pytest.mark.parametrize("variable", [None, ""])
async def test_no_key_is_told_of_where_none_was_sent(variable: str | None, tmp_path: Path) -> None:
    """The line of a deployment that refuses names a variable only if its key was sent."""
    async with scripted(models_status=401) as replica:
        plan = job(replica.base_url, api_key_env=variable)
        with pytest.raises(DeploymentError) as caught:
            await sent(plan, [ready_clip(tmp_path)], check=True)
    assert "no key is sent" in str(caught.value)
    assert "FIREWORKS_API_KEY" not in str(caught.value)


async def test_word_that_is_no_secret_stays_in_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopgap for a key, as own servers are given, takes no word out of a caption."""
    monkeypatch.setenv("TEST_KEY", "EMPTY")
    async with scripted(caption("The shelves are EMPTY.")) as replica:
        run = await sent(job(replica.base_url, api_key_env="TEST_KEY"), [ready_clip(tmp_path)])
    assert run.caption.text == "The shelves are EMPTY."


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(status: int, tmp_path: Path) -> None:
    """A redirect takes neither the key nor the media anywhere; the run ends and says why."""
    async with scripted() as elsewhere, scripted() as replica:
        replica.default = answer(status, b"", {"Location": f"{elsewhere.base_url}/steal"})
        with pytest.raises(DeploymentError, match=rf"redirect \(HTTP {status}\)") as caught:
            await sent(job(replica.base_url, api_key_env="TEST_KEY"), [ready_clip(tmp_path)])
        assert elsewhere.seen == []
    assert KEY not in everything_about(caught.value)


async def test_cookies_are_not_kept(tmp_path: Path) -> None:
    """What a server sets as a cookie is not sent back."""
    step = answer(500, b"", {"Set-Cookie": "a=b"})
    async with scripted(step) as replica:
        await sent(job(replica.base_url), [ready_clip(tmp_path)])
    assert "cookie" not in replica.seen[1].headers


async def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry in ~/.netrc for the host neither adds credentials nor breaks the request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted() as replica:
        await sent(job(replica.base_url), [ready_clip(tmp_path)])
        await sent(job(replica.base_url, api_key_env="TEST_KEY"), [ready_clip(tmp_path)])
    told = [seen.headers.get("authorization") for seen in replica.seen]
    assert told == [None, f"Bearer {KEY}"]


@pytest.mark.parametrize(
    "step",
    [
        answer(400, error_body(KEY, f"bad key {KEY}")),
        answer(500, error_body("x", f"Authorization: Bearer {KEY}")),
        answer(401, error_body("x", f"invalid {KEY}")),
        raw(f"HTTP/1.1 200 OK\r\nX {KEY}\r\n\r\n".encode()),
        raw(f"{KEY} {KEY}\r\n\r\n".encode()),
        raw(b"", end="reset"),
    ],
    ids=["code", "message", "refusal", "header", "status line", "reset"],
)
async def test_key_is_in_no_log_outcome_or_error(
    step: Step, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Even a server that quotes the key puts it into no log, failure, report or exception."""
    structlog.reset_defaults()
    told = ""
    async with scripted() as replica:
        replica.default = step
        plan = job(replica.base_url, api_key_env="TEST_KEY", request={"max_attempts": 2})
        with capture_logs() as logs:
            try:
                run = await sent(plan, [ready_clip(tmp_path)], check=True)
                told = f"{run!r}"
            except DeploymentError as error:
                told = everything_about(error)
    out, err = capfd.readouterr()
    assert KEY not in f"{told}{logs}{out}{err}"


async def test_key_is_in_no_repr() -> None:
    """No object of the sender shows the key when it is printed."""
    async with scripted() as replica:
        plan = job(replica.base_url, api_key_env="TEST_KEY")
        async with open_fleet(plan, Tally()) as fleet:
            client = fleet.clients["d1"]
            shown = f"{plan!r}{fleet!r}{client!r}{vars(client)!r}{vars(fleet)!r}"
    assert KEY not in shown


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "ümlaut", "a\x00b"])
async def test_key_that_no_header_can_hold_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key with characters that would break a header is a configuration error, unquoted."""
    monkeypatch.setattr("os.environ", {"TEST_KEY": value})  # which would refuse some of them
    with anyio.fail_after(60), pytest.raises(ConfigError, match="TEST_KEY holds") as caught:
        async with open_fleet(job("http://127.0.0.1:1/v1", api_key_env="TEST_KEY"), Tally()):
            pass
    assert value not in str(caught.value)


async def test_wrong_key_ends_the_run_with_one_line(tmp_path: Path) -> None:
    """Credentials that all deployments refuse end the run at the check, naming the variable."""
    async with scripted(models_status=401) as first, scripted(models_status=401) as second:
        plan = job(first.base_url, second.base_url, api_key_env="TEST_KEY")
        with pytest.raises(DeploymentError) as caught:
            await sent(plan, [ready_clip(tmp_path)], check=True)
    told = str(caught.value)
    assert caught.value.exit_code == 4
    assert "\n" not in told
    assert "d1: refuses the key" in told
    assert "d2: refuses the key" in told
    assert "TEST_KEY" in told
    assert all(seen.method == "GET" for seen in first.seen + second.seen)
