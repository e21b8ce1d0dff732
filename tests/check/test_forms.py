"""The check of servers that take pictures and no video."""

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command

pytestmark = pytest.mark.anyio

PICTURES = StandinOptions(video_as="frames", audio_as="input_audio", strict=False)


@pytest.fixture
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command in a folder of its own."""
    return Command(tmp_path_factory.mktemp("check"), is_forked=True)


async def test_server_of_pictures_is_known_by_its_answers(command: Command) -> None:
    """Sent as frames, all is seen and heard; sent as video_url, the way out is named."""
    job = command.folder / "job.toml"
    async with serving(PICTURES) as standin:
        head = f'[[deployments]]\nname = "d"\nbase_url = "{standin.base_url}"\nmodel = "m"\n'
        job.write_text(head + 'video_as = "frames"\naudio_as = "input_audio"\n')
        good = await command("check", "--job", job)
        assert {one.pictures for one in standin.ledger.records} == {8, 60}
        job.write_text(f"{head}server = 'llama-server'\n[deployments.frames]\nmax_frames = 12\n")
        few = await command("check", "--job", job)
        assert {one.pictures for one in standin.ledger.records} == {8, 12, 60}
        job.write_text(head)
        bad = await command("check", "--job", job)
    assert good.exit_code == 0, good.stdout
    assert "upright, and all digits read" in good.stdout
    assert "a voice is heard, and silence is not" in good.stdout
    assert few.exit_code == 0, few.stdout
    assert "12 frames cost as much each as 8 do" in few.stdout
    assert bad.exit_code == 1
    assert 'server = "llama-server"' in bad.stdout
