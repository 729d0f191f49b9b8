"""Decoded frames on disk, addressed by content and shared by any number of runs.

Layout of the cache folder, all names unique to their writer::

    <shard>.npy    uint8 [n, T, 3, H, W]: n clips of one shape; or
    <shard>.jpegs  the JPEG pictures of n clips of any shape, end to end
    <shard>.json   which key lies where, with times and checksums; written after the shard
    *.tmp          a file being written

A file gets its final name only when complete and on disk, and an index only after its shard, so a
run that is killed at any point leaves at most files that nobody reads. Nobody ever changes a
finished file. Two runs that decode the same clip store it twice, which costs space and nothing
else. What does not match its own checksum is treated as absent.

A memory-mapped file keeps a file descriptor for as long as anybody holds a view into it, and a cache
has more shards than a process may have descriptors. So shards are mapped when a clip of theirs is
asked for, and only few at a time.
"""

from harness.data.cache.keys import clip_key
from harness.data.cache.store import CachedClip, Damaged, FrameCache
from harness.data.cache.writer import Writer

__all__ = ["CachedClip", "Damaged", "FrameCache", "Writer", "clip_key"]
