"""Plans from a job of several requests: media once a clip, all else once a request."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from captionfleet.plan.lines import read_lines, read_measured_run
from captionfleet.plan.model.fit import fit_run
from captionfleet.plan.model.predict import Fleet, Pricing, predict
from captionfleet.plan.model.reference import Library, Reference
from tests.support.command import Ended
from tests.support.past_runs import PastRun

PRICING = Pricing(usd_per_gpu_hour=6.0)
TOKENS = {"short": (1000, 20), "long": (1100, 300), "tags": (1050, 10)}
RUN = PastRun(clips=600)


def write(folder: Path, *, fewer_tags: bool = False, only: str = "") -> Path:
    """The folder of a run over 200 clips, three requests each, 600 captions in all.

    With `fewer_tags`, most clips had theirs before; with `only`, the last run asked that alone.
    """
    RUN.write(folder)
    lines = []
    for number, text in enumerate((folder / "captions.jsonl").read_bytes().splitlines()):
        clip, place = divmod(number, len(TOKENS))
        line, name = orjson.loads(text), list(TOKENS)[place]
        seconds = (4.0, 10.0)[clip % 2]
        line |= {"clip_id": f"{clip:032x}", "request": name}
        line["media"]["source_s"] = seconds
        line["latency"]["prepare_s"] = RUN.prepare_s * seconds / 7 + 1e-9 * clip
        line["usage"] = dict(zip(("prompt_tokens", "completion_tokens"), TOKENS[name], strict=True))
        if not (fewer_tags and name == "tags" and clip % 3):
            lines.append(line)
    (folder / "captions.jsonl").write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in lines))
    run = orjson.loads((folder / "run.json").read_bytes())
    settings = run["settings"]
    settings["requests"] = [{"name": name} for name in TOKENS]
    settings["input"] = {"only_request": [only] if only else []}
    prepare_s = 200 * RUN.prepare_s
    run |= {"captioned": len(lines), "attempts": len(lines)}
    run["time_share"] = {"workers_busy_s": prepare_s, "prepare_s": prepare_s}
    (folder / "run.json").write_bytes(orjson.dumps(run))
    return folder


def learnt(folder: Path) -> Reference:
    """What a plan makes of a folder."""
    return fit_run("a run", read_measured_run(folder), read_lines(folder))


@pytest.mark.parametrize("fewer_tags", [False, True])
def test_a_clip_is_prepared_once_and_sent_for_each_request(
    tmp_path: Path, *, fewer_tags: bool
) -> None:
    """Time, tokens and bytes are those of three captions a clip, the cores' time that of one.

    So it is where one of the requests has fewer captions than the others.
    """
    reference = learnt(write(tmp_path, fewer_tags=fewer_tags))
    assert (reference.clips, reference.requests) == (200, ("short", "long", "tags"))
    assert reference.captions == (467 if fewer_tags else 600)
    library = Library.like(reference, 1000)
    for cores in (16, 1):
        predicted = predict(reference, library, Fleet(2, cores), PRICING)
        at_deployments_s, at_cores_s = 3000 / (2 * RUN.rate), 1000 * RUN.prepare_s / cores
        assert predicted.seconds.expected == pytest.approx(
            max(at_deployments_s, at_cores_s), rel=0.1
        )
        assert predicted.prompt_tokens.expected == pytest.approx(1000 * 3150, rel=0.01)
        assert predicted.completion_tokens.expected == pytest.approx(1000 * 330, rel=0.01)
        assert predicted.payload_bytes == pytest.approx(3000 * 1000, rel=0.01)
        assert predicted.outlook.clips_per_s == pytest.approx(
            1000 / predicted.seconds.expected, rel=0.1
        )


def test_a_plan_says_captions_and_clips(tmp_path: Path, plan: Callable[..., Ended]) -> None:
    """The text and the JSON count both; where the last run asked one request, the plan does."""
    write(tmp_path / "three")
    ended = plan("--from", "three", "--clips", "100")
    assert "300, 3 of each clip: short, long, tags" in ended.stdout
    assert "three, 600 captions of 200 clips" in ended.stdout
    record = orjson.loads(plan("--from", "three", "--clips", "100", "--json").stdout)
    assert record["reference"]["captions"] == 600
    assert (record["library"]["clips"], record["library"]["captions"]) == (100, 300)

    write(tmp_path / "one", only="tags")
    ended = plan("--from", "one", "--clips", "100")
    assert "one, 200 clips" in ended.stdout
    assert "the last run asked tags alone" in ended.stdout
    assert "105k (" in ended.stdout
