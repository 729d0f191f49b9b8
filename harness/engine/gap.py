"""How far apart the languages of two text sources are: `harness data gap`.

CLIP-ViP (arXiv 2209.06430, section 3) asks why training on the subtitles of videos helps so little
on captions, and measures the distance between two kinds of text: text features of CLIP from both
are put together and parted into two clusters by k-means, and the normalised mutual information
between cluster and source is the gap. 0 means that clusters know nothing of the source, 1 that the
sources lie apart.

Not known from the paper, and chosen here: the tower (CLIP ViT-B/32 as OpenAI published it), features
of unit length, whole sentences up to the tower's context, arithmetic mean of the two entropies in
the normalisation, ten starts of k-means, and ten draws of 1,000 texts from each source, repeated
sentences included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch.nn import functional

from harness.data.annotations import read
from harness.engine.execute import here
from harness.engine.progress import meter
from harness.engine.randomness import generator, key
from harness.engine.run import pretrained_weights
from harness.errors import HarnessError
from harness.models.assembly import build_backbone
from harness.models.backbone import Backbone
from harness.plan.opening import open_named
from harness.plan.plan import pretraining_plan
from harness.plan.recipe import Layers, resolve_component
from harness.plugins import Registry
from harness.results.statistics import Spread, over_seeds

#: The text tower where none is asked for.
TOWER = {"name": "ViT-B-32-quickgelu", "pretrained": "openai"}

#: Starts of k-means, of which the tightest clusters count.
STARTS = 10

#: Texts encoded at once.
BATCH = 256

#: Files that are read as annotations. Any other holds one sentence in a line.
_ANNOTATIONS = (".json", ".jsonl", ".csv", ".tsv", ".pkl")

Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Source:
    """The texts of one side; ``name`` is what the user called it."""

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """``values``: the mutual information of each draw of ``samples`` texts from either side.

    ``table`` counts the texts of all draws: a row for each side, and for each draw's clusters the
    column of the one where the first side prevails, then the other's.
    """

    samples: int
    values: tuple[float, ...]
    table: tuple[tuple[int, int], tuple[int, int]]

    @property
    def spread(self) -> Spread:
        return over_seeds(self.values)


def measure(
    a: Sequence[str], b: Sequence[str], encode: Encode, *, samples: int, draws: int, seed: int
) -> Gap:
    """The gap between two lists of texts. ``encode`` maps texts to features ``[n, D]``.

    Every draw takes ``samples`` texts of each list, or as many as the shorter one has, and starts
    k-means anew. Nothing depends on which list comes first or on the order within one.
    """
    sides = sorted((sorted(a), sorted(b)))
    samples = min(samples, *map(len, sides))
    drawn = [[_draw(side, samples, seed, draw, n) for n, side in enumerate(sides)] for draw in range(draws)]
    distinct = sorted({text for pair in drawn for side in pair for text in side})
    place = {text: row for row, text in enumerate(distinct)}
    features = encode(distinct)
    values, table = [], np.zeros((2, 2), dtype=np.int64)
    for draw, pair in enumerate(drawn):
        rows = [place[text] for side in pair for text in side]
        value, counts = _mutual_information(features[rows], key("clusters", seed, draw))
        values.append(value)
        table += counts
    if sides[0] != sorted(a):
        table = table[::-1, ::-1]
    (first, second) = table.tolist()
    return Gap(samples, tuple(values), (tuple(first), tuple(second)))


def _draw(texts: Sequence[str], samples: int, *purpose: object) -> list[str]:
    chosen = generator("gap", *purpose).choice(len(texts), samples, replace=False)
    return [texts[row] for row in chosen]


def _mutual_information(features: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """That between side and cluster, and how many texts of each side (row) fell into which.

    The first half of ``features [2n, D]`` is one side. The cluster where it prevails comes first.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    side = np.repeat([0, 1], len(features) // 2)
    if np.ptp(features, axis=0).max() == 0:  # one point cannot be parted
        cluster = np.zeros_like(side)
    else:
        means = KMeans(n_clusters=2, n_init=STARTS, random_state=seed % 2**32)
        cluster = means.fit_predict(np.asarray(features, dtype=np.float64))
    counts = np.stack([np.bincount(cluster[side == row], minlength=2) for row in (0, 1)])
    if counts[0, 0] < counts[1, 0]:
        counts = counts[:, ::-1]
    return float(normalized_mutual_info_score(side, cluster)), counts


def open_sources(names: Sequence[str], roots: Sequence[str], registry: Registry) -> list[Source]:
    """The texts that the user means by ``DATASET[/SPLIT[/SOURCE]]`` or by a file's path.

    Without a split it is the one that the data set's default protocol trains on. ``roots`` holds
    data roots, ``NAME=DIR``, or ``DIR`` where one data set is named; a folder with the annotation
    files is enough. A file that is called like a data set is written ``./name``.
    """
    named = dict.fromkeys(filter(None, (_dataset_of(name.partition("/")[0], registry) for name in names)))
    by_name: dict[str, str] = {}
    for given in roots:
        name, equals, folder = given.partition("=")
        dataset = _dataset_of(name, registry) if equals else ""
        if dataset in named:
            by_name[dataset] = folder
        elif dataset:
            raise HarnessError(
                f"--data-root {given}: {name} is not compared", "name it as A or B, or leave its root out"
            )
        elif len(named) == 1:
            by_name = dict.fromkeys(named, given)
        else:
            example = next(iter(named), "NAME")
            raise HarnessError(
                f"--data-root {given} does not say whose it is", f"write NAME=DIR, for example {example}=DIR"
            )
    return [_open(name, by_name, registry) for name in names]


def _dataset_of(name: str, registry: Registry) -> str:
    """The name of the data set that is called so, perhaps by an alias; empty where there is none."""
    if not registry.called("datasets", name):
        return ""
    spec, _ = registry.find("datasets", name)
    return spec.name


def _open(name: str, roots: Mapping[str, str], registry: Registry) -> Source:
    first, _, rest = name.partition("/")
    dataset = _dataset_of(first, registry)
    if dataset:
        texts = _texts_of_dataset(dataset, rest, roots, registry)
    elif Path(name).expanduser().is_file():
        texts = _texts_of_file(Path(name).expanduser())
    else:
        known = ", ".join(spec.name for spec, _ in registry.specs("datasets"))
        raise HarnessError(
            f"{name} is neither a file nor a data set", f"data sets: {known}; as DATASET[/SPLIT[/SOURCE]]"
        )
    kept = tuple(text.strip() for text in texts if text.strip())
    if len(kept) < 2:
        raise HarnessError(f"{name} has {len(kept)} texts, two are the least", "give another source of text")
    return Source(name, kept)


def _texts_of_dataset(name: str, rest: str, roots: Mapping[str, str], registry: Registry) -> list[str]:
    opened = open_named(name, registry, data_root=roots.get(name))
    split, _, source = rest.partition("/")
    protocol = opened.spec.default_protocol
    split = split or protocol.train or protocol.test
    return [caption.text for caption in opened.dataset.captions(split, source or "text")]


def _texts_of_file(path: Path) -> list[str]:
    if path.name.lower().removesuffix(".gz").endswith(_ANNOTATIONS):
        return [text for row in read(path).rows for text in row.texts]
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} cannot be read as UTF-8 text: {error}", "give a text file") from error


def build_tower(name: str, weights: str, settings: Sequence[str], seed: int, registry: Registry) -> Backbone:
    """The dual tower whose text side is used; random weights, where it has no others, by ``seed``."""
    layers, path = Layers(), ("model", "backbone")
    layers.lay({"model": {"backbone": TOWER}}, {})
    layers.lay({"model": {"backbone": {"name": name} if name else {}}}, {path: "--backbone"})
    if weights:
        if not Path(weights).is_file():
            raise HarnessError(f"the weights file {weights} does not exist", "check --weights")
        layers.lay({"model": {"backbone": {"weights": weights}}}, {(*path, "weights"): "--weights"})
    for assignment in settings:
        layers.set(assignment)
    if list(layers.values) != ["model"] or list(layers.values["model"]) != ["backbone"]:
        raise HarnessError(
            "only the text tower can be set here", "for example --set model.backbone.pretrained=openai"
        )
    value: dict[str, Any] = resolve_component(
        layers.values["model"]["backbone"], "backbones", path, layers, registry
    )
    spec, _ = registry.find("backbones", value["name"])
    if spec.pretraining and not value.get("weights"):
        value["weights"] = str(pretrained_weights(pretraining_plan(spec, registry), registry))
    torch.manual_seed(key(seed, "initial weights"))
    return build_backbone(value, registry)


def text_encoder(tower: Backbone) -> Encode:
    """Unit-length features ``[n, D]`` of texts, on this machine's first GPU where it has one."""
    device = here().device
    tower.to(device).eval()

    def encode(texts: Sequence[str]) -> np.ndarray:
        parts = []
        with torch.inference_mode(), meter("encoding texts", len(texts)) as shown:
            for start in range(0, len(texts), BATCH):
                given = texts[start : start + BATCH]
                encoding = tower.tokenizer.encode(given, tower.tokenizer.context)
                features = tower.encode_text(encoding.tokens.to(device), encoding.mask.to(device))
                parts.append(functional.normalize(features.vector, dim=-1).double().cpu().numpy())
                shown.update(start + len(given))
        return np.concatenate(parts)

    return encode


def summary(sources: Sequence[Source], tower: Backbone, gap: Gap) -> str:
    """The result as text: what was compared, the figure, and where the texts fell."""
    from tabulate import tabulate

    spread = gap.spread
    lines = [f"{side}  {source.name}, {len(source.texts)} texts" for side, source in zip("AB", sources)]
    weights = tower.pretraining.removeprefix("weights:")
    lines += [
        f"text tower {tower.name}, weights {weights}; {gap.samples} texts of each, drawn {spread.n} times",
        "",
        f"NMI {spread.mean:.4f} ± {spread.spread:.4f}   (0: one language, 1: two)",
        "",
    ]
    rows = [[f"texts of {side}", *counts] for side, counts in zip("AB", gap.table)]
    return "\n".join(lines) + "\n" + tabulate(rows, ["", "cluster 1", "cluster 2"])


def to_json(sources: Sequence[Source], tower: Backbone, gap: Gap) -> str:
    """The result for a program."""
    values = {
        "sources": [{"name": source.name, "texts": len(source.texts)} for source in sources],
        "backbone": tower.name,
        "pretraining": tower.pretraining,
        "samples": gap.samples,
        "nmi": gap.spread.mean,
        "spread": gap.spread.spread,
        "draws": gap.values,
        "table": gap.table,
    }
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode()
