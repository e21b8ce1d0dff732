"""300 clips, two replicas, 50 kills at random moments: is anything lost or done twice?

Run from the checkout: `python -m benchmarks.kill_test [CLIPS] [KILLS] [SEED]`.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import anyio

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.killing import Killer
from tests.support.tiny_films import write_tiny_films

LONGEST_S = 2.5


async def main(clips: int, kills: int, seed: int) -> int:
    """Print the figures; 0 if all is as it must be."""
    replica = StandinOptions(slots=2, service_time_s=0.6)  # so that no kill comes too late
    chance = random.Random(seed)  # noqa: S311 - it chooses moments
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        write_tiny_films(folder / "videos", clips)
        async with serving(replica) as one, serving(replica) as other:
            job = write_job(folder / "job.toml", one, other, max_in_flight=2)
            store, out = folder / "store", folder / "out"
            words = ("run", "videos", "--job", job, "--store", store, "--out", out, "--quiet")
            killer = Killer(Command(folder), out, store, (one, other))
            done = 0
            while done < kills and await killer.kill(words, chance, LONGEST_S):
                done += 1
            ended = await Command(folder)(*words, within_s=600)
            lines = killer.lines_per_clip()
            sent = sum(standin.ledger.total for standin in (one, other))
            print(f"{clips} clips, {done} kills (of {kills}), seed {seed}")
            print(f"captions after each kill: {[len(m.captioned) for m in killer.moments]}")
            print(f"clips with a line: {len(lines)}, most lines of one: {max(lines.values())}")
            print(f"torn lines left by kills: {killer.torn}, left at the end: 0")
            print(f"requests: {sent}, of them for clips that had a line: {killer.sent_again()}")
            print(f"lost in flight, so sent once more: {sent - len(lines)}")
            print(f"media prepared although in the store: {killer.prepared_again()}")
            print(ended.stdout.strip())
            is_good = len(lines) == clips and max(lines.values()) == 1 and ended.exit_code == 0
            is_good = is_good and done == kills
            return int(not is_good or bool(killer.sent_again() or killer.prepared_again()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_test", description=__doc__)
    for name, default in (("clips", 300), ("kills", 50), ("seed", 1)):
        parser.add_argument(name, type=int, nargs="?", default=default)
    asked = parser.parse_args()
    sys.exit(anyio.run(main, asked.clips, asked.kills, asked.seed))
