"""Every mistake of a user is one line on stderr that says how to mend it, and an exit code."""

import os
import socket
import sys
from pathlib import Path

import anyio
import pytest

from captionfleet.cli.run_flags import RunFlags
from captionfleet.config import job_from_flags
from captionfleet.errors import ConfigError
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, CommandHere
from tests.support.job_file import write_job
from tests.support.output import Output
from tests.support.replica import caption, gated, scripted
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

DEPLOYMENT = '[[deployments]]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "omni"\n'
FLAGS = "--base-url http://127.0.0.1:9/v1 --model omni"
OUT = "--out out"
FIREWORKS_MODEL = "accounts/acme/models/omni#accounts/acme/deployments/a1b2"


FLAGS_OF_A_RUN = RunFlags(out=Path("out")).overrides(())
JOB_FILES = {
    "unknown key": ("[request]\npromt = 'a'\n", "request.promt: unknown key, did you mean prompt?"),
    "unknown section": ("[requests]\n", "requests: unknown key: give tables headed [[request]]"),
    "unknown key of a deployment": (
        f"{DEPLOYMENT}url = ''\n",
        "job.toml: deployments.0.url: unknown key",
    ),
    "missing key": ("[[deployments]]\nmodel = 'm'\n", "deployments.0.base_url: this key is needed"),
    "wrong type": ("[request]\nmax_tokens = 'many'\n", "request.max_tokens: Input should be"),
    "wrong kind of section": ("request = 3\n", "job.toml: request: this is a table"),
    "wrong kind of section beside a flag": ("input = 3\n", "job.toml: input: this is a table"),
    "text for a list": ("[input]\nsources = 'a'\n", "input.sources: give a list"),
    "deployments as one table": ("[deployments]\nmodel = 'm'\n", "headed [[deployments]], in"),
    "unknown key of a life cycle": (
        f"{DEPLOYMENT}[deployments.lifecycle]\nshap = ''\n",
        "deployments.0.lifecycle.shap: unknown key, did you mean shape?",
    ),
    "unknown failure code": (
        "[input]\nretry_failed = ['cutoff']\n",
        "input.retry_failed.0: no failure code, did you mean cut_off?",
    ),
    "no time": ("[limits]\ndeadline = 25:00:00\n", "job.toml: not a TOML file"),
    "no time in text": ("[limits]\ndeadline = '25:00'\n", "limits.deadline: hour must be in"),
    "share as a fraction": (
        "[limits]\nmax_failures = 0.05\n",
        "limits.max_failures: give a number",
    ),
    "home of an unknown user": (
        "[store]\ndir = '~no-such-user/x'\n",
        "~no-such-user/x: this home folder",
    ),
    "NUL in a path": ('[store]\ndir = "a\\u0000b"\n', "store.dir: a path cannot hold a NUL"),
    "nested without end": (f"a = {'[' * 5000}", "job.toml: not a TOML file"),
    "out of range": ("[request]\ntemperature = 3\n", "temperature: Input should be less than"),
    "two mistakes": (
        "[request]\npromt = 'a'\nmax_tokens = 0\n",
        "request.promt: unknown key, did you mean prompt?",
    ),
    "text for a list of text": ("[input]\nsources = 'a'\n", 'a list of text, as in ["a", "b"]'),
    "a variable in a path": ("[store]\ndir = '$HOME/x'\n", "store.dir: $HOME is not replaced"),
    "a key for the name of its variable": (
        f"{DEPLOYMENT}api_key_env = 'fw_hush'\n",
        "api_key_env: this is the NAME of an environment variable",
    ),
    "an unknown failure code": (
        "[input]\nretry_failed = ['qqq']\n",
        "no failure code: one of all, ",
    ),
    "two deployments of one name": (
        f'{DEPLOYMENT}name = "a"\n{DEPLOYMENT}name = "a"\n',
        "deployments must have different names",
    ),
    "URL without a scheme": (
        "[[deployments]]\nbase_url = 'host/v1'\nmodel = 'm'\n",
        "base_url must look like https://host/v1",
    ),
    "URL with a port that is none": (
        "[[deployments]]\nbase_url = 'http://h:99999/v1'\nmodel = 'm'\n",
        "base_url must look like https://host/v1",
    ),
    "URL with a host that is none": (
        "[[deployments]]\nbase_url = 'http://a..b/v1'\nmodel = 'm'\n",
        "base_url must look like https://host/v1",
    ),
    "whole URL": (
        "[[deployments]]\nbase_url = 'http://h/v1/chat/completions'\nmodel = 'm'\n",
        "base_url ends before /chat/completions",
    ),
    "password in the URL": (
        "[[deployments]]\nbase_url = 'http://u:hush@host/v1'\nmodel = 'm'\n",
        "base_url must not hold a user",
    ),
    "model that does not see": (f"{DEPLOYMENT}modalities = ['audio']\n", 'must hold "video"'),
    "broken TOML": ("[request\n", "job.toml: not a TOML file: Expected ']'"),
    "not text": ("\xff", "job.toml: not a TOML file"),
}


@pytest.mark.parametrize("name", JOB_FILES)
def test_bad_job_file(name: str, tmp_path: Path) -> None:
    """A mistake in the job file is named by file and key, in one line."""
    content, words = JOB_FILES[name]
    (tmp_path / "job.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as refused:
        job_from_flags(tmp_path / "job.toml", FLAGS_OF_A_RUN)
    assert (refused.value.exit_code, words in str(refused.value)) == (2, True), refused.value
    assert "hush" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[request\n", "job.toml: not a TOML file: Expected ']'"),
        (
            "\xef\xbb\xbf[limits]\r\ndeadline = 06:00:00\r\nmax_failures = 5\r\n",
            "deployments: name at least one",
        ),
    ],
)
def test_bad_job_file_of_a_run(content: str, words: str, tmp_path: Path, here: CommandHere) -> None:
    """A command with such a job file says it on one line, before anything is touched."""
    (tmp_path / "job.toml").write_bytes(content.encode("latin-1"))
    ended = here("run", "--job", "job.toml", *OUT.split())
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert words in ended.complaint
    assert not (tmp_path / "out").exists()


ARGUMENTS = {
    "missing job file": (f"run --job no.toml {OUT}", "no.toml: cannot read the job file: No such"),
    "folder as job file": (f"run --job videos {OUT}", "cannot read the job file: Is a directory"),
    "missing source": (f"run nowhere {FLAGS} {OUT}", "source nowhere: No such file or directory"),
    "glob as source": (f"run nowhere/*.mp4 {FLAGS} {OUT}", '[input] include = ["*.mp4"]'),
    "address as source": (
        f"run http://127.0.0.1:1/a.mp4 {FLAGS} {OUT}",
        "http://127.0.0.1:1/a.mp4: no whole answer",
    ),
    "address of another kind": (f"run ftp://host/a.mp4 {FLAGS} {OUT}", "ftp:// is none of s3://"),
    "bucket as output folder": (
        f"run videos {FLAGS} --out s3://bucket/out",
        "set copy_to in [output]",
    ),
    "copy to no bucket": (
        f"run videos {FLAGS} {OUT} --copy-to /mnt/x",
        "as in s3://bucket/captions",
    ),
    "key as a flag": (
        f"run videos {FLAGS} --api-key-env sk-hush {OUT}",
        "this is the NAME of an env",
    ),
    "clips and hours": (
        "plan --from out --clips 9 --hours 3",
        "--clips and --hours exclude each other",
    ),
    "FIFO as source": (f"run x.mp4 {FLAGS} {OUT}", "source x.mp4: is neither a file nor a folder"),
    "no source": (f"run {FLAGS} {OUT}", "name files, folders or lists"),
    "no deployment": (f"run videos {OUT}", "(--base-url URL --model NAME)"),
    "no output folder": (f"run videos {FLAGS}", "--out DIR"),
    "URL without model": (f"run videos --base-url http://h/v1 {OUT}", "give the two in pairs"),
    "model without URL": (f"run videos --model m {OUT}", "give the two in pairs"),
    "two URLs, one model": (f"run videos {FLAGS} --base-url http://h/v1 {OUT}", "2 --base-url and"),
    "unknown flag": (f"run videos {FLAGS} --frobnicate {OUT}", "--frobnicate"),
    "no number": (f"run videos {FLAGS} --max-tokens many {OUT}", "--max-tokens"),
    "number out of range": (f"run videos {FLAGS} --max-in-flight 0 {OUT}", "0.max_in_flight: "),
    "number that is none": (f"run videos {FLAGS} --timeout nan {OUT}", "request.timeout_s: "),
    "unset key": (f"run videos {FLAGS} --api-key-env NO_KEY {OUT}", "NO_KEY is not set: export it"),
    "unset usual key": (
        f"run videos --base-url https://api.fireworks.ai/inference/v1 --model m {OUT}",
        "FIREWORKS_API_KEY is not set: export it",
    ),
    "unknown failure code": (f"run videos {FLAGS} --retry-failed=x {OUT}", ".0: no failure code"),
    "unknown command": ("frobnicate", "frobnicate"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_bad_arguments(name: str, tmp_path: Path, here: CommandHere) -> None:
    """A mistake on the command line is named, before anything is touched."""
    (tmp_path / "videos").mkdir()
    os.mkfifo(tmp_path / "x.mp4")
    words, complaint = ARGUMENTS[name]
    ended = here(*words.split())
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert complaint in ended.complaint
    assert not (tmp_path / "out").exists()


def test_every_mistake_is_named(tmp_path: Path, here: CommandHere) -> None:
    """Three wrong values are three words in the one line."""
    (tmp_path / "job.toml").write_text(
        "[request]\nmax_tokens = 0\ntemperature = 9\n[media]\nheight = 1\n"
    )
    complaint = here("run", "--job", "job.toml", *OUT.split()).complaint
    for key in ("request.max_tokens", "request.temperature", "media.height"):
        assert f"{key}: " in complaint


async def test_sources_without_a_video(tmp_path: Path, command: Command) -> None:
    """A folder that is empty, as where a disk is not mounted, is said, unless that is allowed."""
    (tmp_path / "videos").mkdir()
    async with serving(StandinOptions()) as standin:
        arguments = ("run", "videos", *OUT.split(), "--base-url", standin.base_url, "--model", "m")
        ended = await command(*arguments, "--quiet")
        assert ended.exit_code == 2
        assert "no video in videos (it is empty): is the folder mounted?" in ended.stderr
        (tmp_path / "videos/notes.doc").write_text("words")
        ended = await command(*arguments, "--quiet")
        assert "passed over: 1 not video: does [input] include name them?" in ended.stderr
        assert (await command(*arguments, "--quiet", "--allow-empty")).exit_code == 0


def test_output_among_the_videos(tmp_path: Path, here: CommandHere) -> None:
    """The folder of the videos is refused as the output folder."""
    (tmp_path / "videos").mkdir()
    ended = here("run", "videos", *FLAGS.split(), "--out", "videos")
    assert ended.exit_code == 2
    assert "videos is a source and the output folder" in ended.complaint


def test_store_among_the_videos(tmp_path: Path, here: CommandHere) -> None:
    """A media store in a source is refused by every command that fills or reads it.

    A walk that passes it over takes no prepared media for videos, so it is no reason to refuse.
    """
    (tmp_path / "videos").mkdir()
    run = ("run", "videos", *FLAGS.split(), "--out", "out")
    for words in (run, (*run, "--dry-run"), ("prepare", "videos")):
        for store in ("videos", "videos/store"):
            ended = here(*words, "--store", store)
            assert ended.exit_code == 2
            assert f"{store} is the media store, and in the source videos: " in ended.complaint
    (tmp_path / "all.txt").write_text("videos\n")
    listed = here("prepare", "all.txt", "--store", "videos/store", "--quiet")
    assert (listed.exit_code, "is the media store" in listed.complaint) == (2, True)
    (tmp_path / "job.toml").write_text('[input]\nexclude = ["kept/*"]\n')
    for more in (("videos/.store",), ("videos/kept", "--job", "job.toml")):
        ended = here("prepare", "videos", "--quiet", "--store", *more)
        assert "no video in videos" in ended.complaint


def test_unreachable_deployment(tmp_path: Path, here: CommandHere) -> None:
    """No connection to the only deployment is exit code 4 and names the URL."""
    (tmp_path / "videos").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        ended = here("run", "videos", "--base-url", url, "--model", "omni", *OUT.split())
    assert ended.exit_code == 4
    assert "Connection refused" in ended.complaint
    assert url in ended.complaint


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("a file", "a file is in the folder's place"),
        ("a file/out", "a file is in the folder's place"),
    ],
)
def test_output_that_cannot_be_written(
    out: str, words: str, tmp_path: Path, here: CommandHere
) -> None:
    """An output folder that cannot be made is exit code 3 and named."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "a file").touch()
    ended = here("run", "videos", *FLAGS.split(), "--out", out)
    assert ended.exit_code == 3
    assert f"cannot write {out}" in ended.complaint
    assert words in ended.complaint


@pytest.mark.anyio
async def test_refused_key(library: Library, command: Command) -> None:
    """A key that the deployment refuses is exit code 4 and names the variable, not the key."""
    async with serving(StandinOptions(api_key="right")) as standin:
        words = ("--base-url", standin.base_url, "--model", "omni", "--api-key-env", "MY_KEY")
        ended = await command(
            "run", library.films[0], *words, *OUT.split(), variables={"MY_KEY": "fw_hush"}
        )
    assert ended.exit_code == 4
    assert "d1: refuses the key or the account" in ended.complaint
    assert "key from MY_KEY" in ended.complaint
    assert "hush" not in ended.complaint


@pytest.mark.anyio
@pytest.mark.parametrize("provider", ["fireworks", "openai"])
async def test_unknown_model(
    provider: str, library: Library, command: Command, output: Output
) -> None:
    """A model string that is not served is exit code 4; Fireworks users see the three forms."""
    async with serving(StandinOptions(models=("other",))) as standin:
        job = write_job(
            command.folder / "job.toml", standin, provider=provider, model=FIREWORKS_MODEL
        )
        ended = await command(
            "run", *library.films[:2], "--job", job, "--store", library.store, *OUT.split()
        )
    assert ended.exit_code == 4
    *_, last = ended.stderr.splitlines()
    assert "d1: does not know the model" in last
    assert "Traceback" not in ended.stderr
    forms = (
        "accounts/acme/deployments/a1b2",
        "accounts/fireworks/models/omni#accounts/acme/deployments/a1b2",
        FIREWORKS_MODEL,
    )
    if provider == "fireworks":
        assert all(f" {form}" in last for form in forms)
    else:
        assert standin.base_url in last
    run = output.run
    assert (run["ended"], run["exit_code"], run["captioned"]) == ("error", 4, 0)
    assert "does not know the model" in run["error"]


@pytest.mark.anyio
async def test_folder_of_another_run(library: Library, command: Command) -> None:
    """A second run into the same folder is exit code 3 and names the first, which goes on."""
    gate = anyio.Event()
    async with scripted(gated(gate, caption())) as replica:
        words = ("--base-url", replica.base_url, "--model", "omni", "--store", library.store)
        async with command.started("run", library.films[0], *words, *OUT.split()) as first:
            await first.until(lambda: replica.in_flight == 1)
            second = await command("run", library.films[1], *words, *OUT.split())
            gate.set()
            assert (await first.ended()).exit_code == 0
        assert second.exit_code == 3
        assert f"another run (pid {first.process.pid} " in second.complaint
        assert "choose another output folder" in second.complaint
        third = await command("run", library.films[1], *words, *OUT.split())
        assert third.exit_code == 0


@pytest.mark.anyio
async def test_command_itself_says_it(tmp_path: Path) -> None:
    """The installed script ends with the exit code and the one line, and with no traceback."""
    script = Path(sys.executable).with_name("captionfleet")
    with anyio.fail_after(60):
        ended = await anyio.run_process(
            [script, "run", "nowhere", *FLAGS.split(), *OUT.split()], check=False, cwd=tmp_path
        )
    assert ended.returncode == 2
    assert ended.stderr == b"captionfleet: source nowhere: No such file or directory\n"
