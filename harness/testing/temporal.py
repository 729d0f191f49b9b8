"""Temporal modules: every promise of :class:`harness.models.TemporalModule`, on five clips of noise."""

from __future__ import annotations

import io
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.models import Backbone, Features, TemporalModule, TextBatch, VideoBatch
from harness.testing import made_up, writing
from harness.testing.kit import Fault, NotChecked, Subject
from harness.testing.made_up import TOLERANCE, apart
from harness.testing.plain import make
from harness.testing.steps import Step, same_for_any_number

PREPARED = "the factory makes a temporal module"

CLIPS = 5
#: The clip that is watched, and one of its neighbours.
OWN, OTHER = 2, 3
#: Real frames of a short clip.
SHORT = 2


@dataclass
class Bench:
    """A module on a small tower, all weights stirred, in eval mode; five clips and five texts."""

    subject: Subject
    backbone: Backbone
    module: TemporalModule
    video: VideoBatch
    text: TextBatch

    def encode(self, video: VideoBatch) -> Features:
        with torch.no_grad():
            return self.module.encode(self.backbone, video)

    def encode_text(self, text: TextBatch) -> Features:
        with torch.no_grad():
            return self.module.encode_text(self.backbone, text)

    def score(self, text: Features, video: Features) -> Tensor:
        with torch.no_grad():
            return self.module.score(text, video)


def build(subject: Subject, seed: int = 0, load: bool = True) -> tuple[Backbone, TemporalModule]:
    """The module as a run starts with it, from a seed."""
    torch.manual_seed(seed)
    backbone = made_up.tower(subject.registry)
    context = made_up.context(backbone, subject.registry, load)
    module = make(subject, TemporalModule, context)
    module.enter_stage(subject.spec.stage_options(), None, True)
    return backbone, module


def prepare(subject: Subject) -> Bench:
    backbone, module = build(subject)
    for part in (backbone, module):
        made_up.stir(part)
        part.eval()
    tokenizers = {t.name: t for t in (backbone.tokenizer, *module.tokenizers)}
    video = made_up.clips(CLIPS, backbone.preprocess.size)
    text = made_up.texts(made_up.sentences(CLIPS), tuple(tokenizers.values()))
    return Bench(subject, backbone, module, video, text)


def form(bench: Bench) -> None:
    """``tokens [B, N, D]``, ``mask`` bool ``[B, N]``, ``pooled [B, D]`` or None; scores ``[texts, videos]``."""
    given = bench.video.frames.clone()
    video, text = bench.encode(bench.video), bench.encode_text(bench.text)
    if not torch.equal(given, bench.video.frames):
        raise Fault(
            "encode changes the frames that it is given", "no function of a name that ends in _ on them"
        )
    for what, features in (("encode", video), ("encode_text", text)):
        _features(what, features, CLIPS)
    scores = bench.score(text[slice(0, 3)], video)
    if not isinstance(scores, Tensor) or scores.shape != (3, CLIPS):
        shape = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise Fault(f"score of 3 texts and {CLIPS} clips is {shape}", f"return [texts, videos], [3, {CLIPS}]")
    _single("score", scores)
    scale = bench.module.logit_scale(bench.backbone)
    if not isinstance(scale, Tensor) or scale.numel() != 1 or not scale.item() > 0:
        raise Fault(
            "logit_scale is not one positive number", "return a tensor of one element, 1 for a head of logits"
        )
    if not torch.isfinite(scores).all():
        raise Fault(
            "scores of plain clips and texts are not finite", "look for a division by zero or a log of it"
        )


def _features(what: str, features: Features, count: int) -> None:
    if not isinstance(features, Features):
        raise Fault(f"{what} returned a {type(features).__name__}", "return harness.models.Features")
    tokens, mask, pooled = features.tokens, features.mask, features.pooled
    if tokens.ndim != 3 or len(tokens) != count or not tokens.is_floating_point():
        raise Fault(f"{what}: tokens are {tokens.dtype} {list(tokens.shape)}", f"floats [{count}, N, D]")
    if mask.dtype != torch.bool or mask.shape != tokens.shape[:2]:
        raise Fault(
            f"{what}: the mask is {mask.dtype} {list(mask.shape)}",
            f"bool {list(tokens.shape[:2])}, True = real",
        )
    if pooled is not None and (pooled.ndim != 2 or len(pooled) != count):
        raise Fault(f"{what}: pooled is {list(pooled.shape)}", f"[{count}, D], or None")
    for name, tensor in (("tokens", tokens[mask]), ("pooled", pooled)):
        if tensor is not None:
            _single(f"{what}: {name}", tensor)
        if tensor is not None and not torch.isfinite(tensor).all():
            raise Fault(
                f"{what}: {name} of plain input are not finite",
                "look for a division by zero or an empty softmax",
            )


def _single(what: str, tensor: Tensor) -> None:
    """Of a tower in single precision; less makes equal scores of unlike ones."""
    if tensor.dtype != torch.float32:
        raise Fault(
            f"{what} of a tower in torch.float32 is {tensor.dtype}", "leave the dtype as the tower has it"
        )


def neighbours(bench: Bench) -> None:
    """A clip has the features that it has alone, and among other clips; so has a text."""
    for mode in ("eval", "train"):
        _mode(bench, mode)
        try:
            if mode == "eval" or _steady(bench):
                _neighbours(bench, mode)
        finally:
            _mode(bench, "eval")


def _neighbours(bench: Bench, mode: str) -> None:
    own = slice(OWN, OWN + 1)
    others = made_up.clips(CLIPS, bench.backbone.preprocess.size, seed=1)
    mixed = others.frames.clone()
    mixed[OWN] = bench.video.frames[OWN]
    among = VideoBatch(bench.video.ids, mixed, bench.video.mask, bench.video.times)
    before = bench.encode(bench.video)[own]
    hint = "encode has to treat each row by itself: no mean, norm or attention over the batch"
    for where, encoded in (
        # In this order: a batch norm in training does not even take a single clip.
        ("beside other clips", lambda: bench.encode(among)[own]),
        ("alone", lambda: bench.encode(bench.video[own])),
    ):
        difference = apart(before, encoded())
        if difference > TOLERANCE:
            raise Fault(
                f"a clip's features leak across the batch: {where} they differ by {difference:.2g} ({mode} mode)",
                hint,
            )
    said = bench.encode_text(bench.text)[own]
    difference = apart(said, bench.encode_text(bench.text[own]))
    if difference > TOLERANCE:
        raise Fault(
            f"a text's features leak across the batch: alone they differ by {difference:.2g} ({mode} mode)",
            hint,
        )


def _steady(bench: Bench) -> bool:
    """Whether training mode draws nothing, so that two results can be compared."""
    return apart(bench.encode(bench.video), bench.encode(bench.video)) == 0


def _mode(bench: Bench, mode: str) -> None:
    """Training mode without dropout, and back; the weights of both modes are the same."""
    for part in (bench.backbone, bench.module):
        made_up.without_dropout(part)
        part.train(mode == "train")


def padding(bench: Bench) -> None:
    """With ``masked``: what masked frames hold, and whether they are there at all, changes no score."""
    module, video = bench.module, bench.video
    if module.padding in ("repeat", "fixed_length"):
        raise NotChecked(f"padding is '{module.padding}': the engine gives it full clips only")
    if module.padding != "masked":
        raise Fault(f"padding is {module.padding!r}", "one of 'masked', 'repeat' and 'fixed_length'")
    mask = video.mask.clone()
    mask[:, SHORT:] = False
    noise = made_up.clips(CLIPS, bench.backbone.preprocess.size, seed=2).frames
    other = torch.where(mask[..., None, None, None], video.frames, noise)
    text = bench.encode_text(bench.text)
    padded = bench.score(text, bench.encode(VideoBatch(video.ids, video.frames, mask, video.times)))
    repainted = bench.score(text, bench.encode(VideoBatch(video.ids, other, mask, video.times)))
    cut = VideoBatch(video.ids, video.frames[:, :SHORT], mask[:, :SHORT], video.times[:, :SHORT])
    for how, scores in (
        ("other pixels in masked frames", repainted),
        ("leaving masked frames out", bench.score(text, bench.encode(cut))),
    ):
        difference = made_up.largest_difference(padded, scores)
        if difference > TOLERANCE:
            raise Fault(
                f"masks are not obeyed: {how} changes scores by {difference:.2g}, and padding is 'masked'",
                "use video.mask wherever frames meet, or declare padding = 'repeat'",
            )


def empty(bench: Bench) -> None:
    """A clip without a real frame has finite scores, and leaves the others alone."""
    if bench.module.padding != "masked":
        raise NotChecked(f"padding is '{bench.module.padding}': no clip is masked")
    mask = bench.video.mask.clone()
    mask[OTHER] = False
    text = bench.encode_text(bench.text)
    plain = bench.score(text, bench.encode(bench.video))
    found = bench.score(
        text, bench.encode(VideoBatch(bench.video.ids, bench.video.frames, mask, bench.video.times))
    )
    if not torch.isfinite(found).all():
        raise Fault(
            "the score of a clip without a real frame is not finite",
            "a softmax over nothing but -inf is NaN: mask with torch.finfo(dtype).min, and divide by at least 1",
        )
    kept = [n for n in range(CLIPS) if n != OTHER]
    if made_up.largest_difference(plain[:, kept], found[:, kept]) > TOLERANCE:
        raise Fault(
            "a clip without a real frame changes the scores of the others", "treat each row by itself"
        )


def gradients(bench: Bench) -> None:
    """Finite, for the tower and the module, with a short and an empty clip in the batch."""
    mask = bench.video.mask.clone()
    if bench.module.padding == "masked":
        mask[0, SHORT:] = False
        mask[OTHER] = False
    video = VideoBatch(bench.video.ids, bench.video.frames, mask, bench.video.times)
    whole = nn.ModuleDict({"backbone": bench.backbone, "temporal": bench.module})
    whole.zero_grad(set_to_none=True)
    text = bench.module.encode_text(bench.backbone, bench.text)
    scores = bench.module.score(text, bench.module.encode(bench.backbone, video))
    logits = scores * bench.module.logit_scale(bench.backbone)
    functional.cross_entropy(logits, torch.arange(CLIPS)).backward()
    found = {name: p.grad for name, p in whole.named_parameters() if p.grad is not None}
    whole.zero_grad(set_to_none=True)
    bad = [name for name, grad in found.items() if not torch.isfinite(grad).all()]
    if bad:
        raise Fault(
            f"gradients are not finite: {', '.join(bad[:3])}"
            + (f" and {len(bad) - 3} more" if len(bad) > 3 else ""),
            "a masked or empty clip makes 0 * inf on the way back: guard the value before the function, not after",
        )
    # The factor on the scores learns from any of them, and teaches nothing.
    if not any(grad.abs().max() > 0 for name, grad in found.items() if not name.endswith("logit_scale")):
        raise Fault(
            "no weight gets a gradient from the scores",
            "look for detach(), no_grad() or .data in encode or score",
        )


def tiles(bench: Bench) -> None:
    """Scores in tiles are those of the whole; of a cross-encoder in training mode too."""
    video, text = bench.encode(bench.video), bench.encode_text(bench.text)
    for mode in ("eval", "train") if bench.module.pairwise else ("eval",):
        _mode(bench, mode)
        try:
            whole = bench.score(text, video)
            rows = [
                torch.cat(
                    [bench.score(text[slice(a, a + 2)], video[slice(b, b + 3)]) for b in range(0, CLIPS, 3)],
                    dim=1,
                )
                for a in range(0, CLIPS, 2)
            ]
        finally:
            _mode(bench, "eval")
        difference = made_up.largest_difference(whole, torch.cat(rows))
        if difference > TOLERANCE:
            raise Fault(
                f"scores in tiles differ from those at once by {difference:.2g} ({mode} mode)",
                "a score may depend on its own text and clip only",
            )


def saved(bench: Bench) -> None:
    """Saved, read without running code, and loaded strictly into a new module: the same scores, bit by bit."""
    file = io.BytesIO()
    whole = nn.ModuleDict({"backbone": bench.backbone, "temporal": bench.module})
    torch.save(whole.state_dict(), file)
    file.seek(0)
    backbone, module = build(bench.subject, seed=1, load=False)
    fresh = nn.ModuleDict({"backbone": backbone, "temporal": module}).eval()
    try:
        fresh.load_state_dict(torch.load(file, weights_only=True))
    except (RuntimeError, ValueError) as error:
        raise Fault(
            f"its state does not go into a new module: {' '.join(str(error).split())}",
            "make every parameter and buffer in __init__, the same ones with load=False and in every stage",
        ) from error
    other = Bench(bench.subject, backbone, module, bench.video, bench.text)
    scores = [b.score(b.encode_text(b.text), b.encode(b.video)) for b in (bench, other)]
    if not torch.equal(*scores):
        raise Fault(
            f"a saved and loaded module scores otherwise, by {made_up.largest_difference(*scores):.2g}",
            "what decides a score has to be a parameter or a buffer (register_buffer)",
        )


def seeds(bench: Bench) -> None:
    """One seed, one module: every weight the same; and one input, one output."""
    first, second = (nn.ModuleList(build(bench.subject, seed=3)).state_dict() for _ in range(2))
    differing = [
        name for name, value in first.items() if name not in second or not torch.equal(value, second[name])
    ]
    if differing:
        raise Fault(
            f"two modules of one seed differ: {differing[0].removeprefix('1.')}",
            "draw from torch's global random numbers, and from nothing else",
        )
    if apart(bench.encode(bench.video), bench.encode(bench.video)) > 0:
        raise Fault(
            "encoding the same clips twice gives two results (eval mode)",
            "draw nothing at random, and keep no state",
        )


def workers(bench: Bench) -> None:
    """One, two and four processes have the same loss and the same gradients."""
    same_for_any_number(Step.of(bench.subject))


FORM = (("features and scores have the promised form", form),)
CHECKS = (
    ("features do not depend on the rest of the batch", neighbours),
    ("padding is obeyed", padding),
    ("a clip without a frame poisons nothing", empty),
    ("gradients are finite", gradients),
    ("scores in tiles are those at once", tiles),
    ("a saved module is loaded as it was", saved),
    ("a seed decides every weight", seeds),
    ("the number of workers changes nothing", workers),
    ("what it writes depends on its own clip and words", writing.check),
)
