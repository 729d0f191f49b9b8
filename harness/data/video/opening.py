"""Opening a video file: its container, its main picture stream, and libav's errors as damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from harness.data.video.damage import DamagedClip, DecodingFailed, raise_if_out_of_files, raise_if_special


@contextmanager
def opened(path: Path | str, threads: int) -> Iterator[tuple]:
    """The container and its main video stream; whatever libav reports becomes damage, except that
    too many files are open.

    ``explode`` makes decoders report what they would otherwise paint over.
    """
    raise_if_special(path)
    stage: type[DamagedClip] = DamagedClip
    try:
        # The prefix keeps a colon in a file name from being read as a protocol.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = _main_stream(path, container)
            context = stream.codec_context
            context.options = {"err_detect": "explode"}
            context.thread_count = threads
            if threads > 1:
                context.thread_type = "AUTO"
            stage = DecodingFailed
            yield container, stream
    except av.FFmpegError as error:
        raise_if_out_of_files(error, path)
        what = "decoded" if stage is DecodingFailed else "opened"
        reason = f"cannot be {what}: {(error.strerror or str(error)).strip().lower()}"
        raise stage(path, reason, lasting=not isinstance(error, OSError)) from error


def _main_stream(path: Path | str, container):
    """The first real video stream; cover pictures of audio files are none."""
    pictures = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams or streams[0].codec_context is None:
        raise DamagedClip(path, "has no video stream that can be decoded")
    for other in container.streams:
        if other.index != streams[0].index:
            other.discard = av.stream.Discard.all
    return streams[0]
