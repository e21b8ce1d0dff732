"""The guide's two ffmpeg commands, with the width mended; scripts load this without PyAV."""

__all__ = ["AUDIO", "VIDEO"]

VIDEO = tuple("-t 60 -vf fps=1,scale=-2:360 -c:v libx264 -preset fast -an".split())
AUDIO = tuple("-t 60 -vn -c:a libopus -b:a 24k -ar 16000 -ac 1".split())
