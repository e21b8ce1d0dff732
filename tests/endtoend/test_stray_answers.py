"""A whole run over connections on which more comes than was asked for."""

import anyio
import pytest

from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.output import Output
from tests.support.raw_server import RawRequest, completion, message, raw_server
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio


async def odd(request: RawRequest) -> None:
    """Every fifth answer comes twice, and every seventh request is refused before its body."""
    if request.number % 7 == 0:
        await request.send(message(b'{"error": {"message": "slow down"}}', 429))
        await request.received.receive_exactly(int(request.headers["content-length"]))
        await anyio.sleep(0.01)
        await request.send(message(b"<html>Bad request syntax</html>", 400, "text/html"))
        return
    answer = message(completion(await request.video_sha256()))
    await request.send(answer)
    if request.number % 5 == 0:
        await request.send(answer)


async def test_all_clips_each_get_the_caption_of_their_own_media(
    library: Library, command: Command, output: Output
) -> None:
    """No answer, repeated or late, ends up in the line of another clip."""
    async with raw_server(odd) as server:
        job = write_job(
            command.folder / "job.toml",
            server.base_url,
            tables={"request": {"max_attempts": 50}},
            max_in_flight=8,
        )
        ended = await command("run", *library.films, "--job", job, "--out", "out")
    assert ended.exit_code == 0, ended.stderr
    assert len({line["clip_id"] for line in output.captions}) == len(library.films)
    for line in output.captions:
        assert line["caption"] == f"caption of {line['media']['video_sha256']}"
