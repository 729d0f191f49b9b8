"""Names of components: plain (``info_nce``), qualified (``standard:info_nce``), and in paths.

A qualified name begins with the name of the plugin that declares the component, not with that of its
distribution: it is short, and it tells two plugins of one distribution apart.
"""

from __future__ import annotations

import re

# Names are written before a slash, into recipes, and as names of folders.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def qualified(plugin: str, name: str) -> str:
    """The name that is typed where two plugins declare ``name``."""
    return f"{plugin}:{plain(name)}"


def plain(name: str) -> str:
    """The name without its plugin."""
    return name.rpartition(":")[2]


def in_path(name: str) -> str:
    """The name as a part of a path or link. A colon would make a link's beginning a scheme, and cannot
    stand in a file's name everywhere; ``@`` stands in no name, so no two names become one."""
    return name.replace(":", "@")
