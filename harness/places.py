"""Where things lie on the user's machine: caches, data roots, the config file.

``HARNESS_CACHE`` moves the cache folder, ``HARNESS_DATA`` is the folder of all data roots,
``HARNESS_CONFIG`` another config file. The config file (YAML, by default
``~/.config/harness/config.yaml``) may hold ``cache: DIR`` and ``data: {<dataset>: DIR}``.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import HarnessError


def config_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(os.environ.get("HARNESS_CONFIG") or f"{base}/harness/config.yaml").expanduser()


def config() -> dict:
    """The user's config, empty where there is no file; anything unknown in it is an error."""
    path = config_file()
    if not path.exists():
        return {}
    from harness.plan import yaml_io

    values, _ = yaml_io.read(path, str(path), what="config file")
    data = values.get("data") or {}
    folders = [*data.values(), values.get("cache") or ""] if isinstance(data, dict) else [data]
    if set(values) - {"cache", "data"} or not all(isinstance(folder, str) for folder in folders):
        raise HarnessError(
            f"{path}: only `cache: DIR` and `data: {{dataset: DIR}}` may stand here", "fix that file"
        )
    return {"cache": values.get("cache"), "data": data}


def cache_root() -> Path:
    """The folder for everything that can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    chosen = os.environ.get("HARNESS_CACHE") or config().get("cache") or f"{base}/harness"
    return Path(chosen).expanduser()


def data_root(dataset: str, given: str | None) -> Path:
    """The data root of a data set: ``--data-root``, ``HARNESS_DATA/<dataset>``, the config file."""
    if given:
        root, source = Path(given).expanduser(), "--data-root"
    elif os.environ.get("HARNESS_DATA"):
        root, source = Path(os.environ["HARNESS_DATA"]).expanduser() / dataset, "HARNESS_DATA"
    elif (config().get("data") or {}).get(dataset):
        root, source = Path(config()["data"][dataset]).expanduser(), str(config_file())
    else:
        raise HarnessError(
            f"data set '{dataset}' needs a data root",
            f"pass --data-root DIR, or set HARNESS_DATA=DIR with DIR/{dataset} in it, "
            f"or write `data: {{{dataset}: DIR}}` into {config_file()}",
        )
    if not root.is_dir():
        raise HarnessError(
            f"the data root of '{dataset}' is no folder: {root} (from {source})", "check the path"
        )
    return root.resolve()
