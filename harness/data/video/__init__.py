"""Exact frames of a clip, and the time at which each is shown. No torch here.

A research number must not depend on which frames a decoder happened to return, so a frame is
named by its place in presentation order and every one that is returned has had its presentation
time checked against the packets of the file. :func:`read_frames` decodes only what the wanted
frames need; :func:`read_frames_sequential` decodes everything, is the arbiter whenever the fast
way meets a surprise, and is the reference in the tests.

A clip is a video file, or a folder of numbered pictures (:mod:`harness.data.video.pictures`).
"""

from harness.data.video.damage import DamagedClip, raise_if_out_of_files, raise_if_special
from harness.data.video.decoding import Choose, Convert, Decoded
from harness.data.video.reading import DECODER_VERSION, probe, read_frames, read_frames_sequential
from harness.data.video.survey import VideoInfo

__all__ = [
    "DECODER_VERSION",
    "Choose",
    "Convert",
    "DamagedClip",
    "Decoded",
    "VideoInfo",
    "probe",
    "raise_if_out_of_files",
    "raise_if_special",
    "read_frames",
    "read_frames_sequential",
]
