"""Mean pooling and video proxies on a small CLIP."""

from __future__ import annotations

import pytest
import torch

from harness import HarnessError
from harness.models import Backbone, BuildContext, TemporalModule, VideoBatch
from harness.plugins import registry
from harness_clip.backbones import build_timm, build_tiny
from harness_clip.options import TimmOptions, TinyOptions
from harness_clip4clip.mean_pool import build as build_mean_pool
from harness_clip_vip.options import VideoProxiesOptions
from harness_clip_vip.video_proxies import build as build_proxies
from harness_clip_vip.video_proxies import proxy_attention


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    made = build_tiny(TinyOptions())
    with torch.no_grad():  # biases and norms start at 0 and 1, which would hide a forgotten one
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def clips(count: int, frames: int, real: int | None = None) -> VideoBatch:
    generator = torch.Generator().manual_seed(count * 100 + frames)
    pixels = torch.randint(0, 256, (count, frames, 3, 32, 32), generator=generator, dtype=torch.uint8)
    mask = torch.arange(frames).expand(count, -1) < (frames if real is None else real)
    return VideoBatch(tuple(map(str, range(count))), pixels, mask, torch.zeros(count, frames))


def context(backbone: Backbone, frames: int = 4) -> BuildContext:
    return BuildContext(backbone, frames, 16, lambda other: backbone)


def mean_pool(backbone: Backbone) -> TemporalModule:
    spec, _ = registry().find("temporal modules", "mean_pool")
    return build_mean_pool(spec.options(), context(backbone))


def proxies(backbone: Backbone, count: int, frames: int = 4, std: float = 0.3):
    torch.manual_seed(1)
    return build_proxies(
        VideoProxiesOptions(proxies=count, temporal_init_std=std), context(backbone, frames)
    ).eval()


def test_one_proxy_and_one_frame_is_plain_clip(backbone):
    """One proxy, one frame and a zero temporal table give exactly CLIP's image feature."""
    batch = clips(3, 1)
    video = proxies(backbone, 1, frames=1, std=0.0).encode(backbone, batch).vector
    image = backbone.encode_frames(backbone.normalise(batch.frames[:, 0]))
    torch.testing.assert_close(video, image, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("count", "frames"), [(1, 1), (1, 3), (4, 3), (9, 2)])
def test_proxy_attention_is_the_dense_mask(count, frames):
    """The two unmasked calls equal one softmax under the dense boolean mask of the paper, gradients too."""
    generator = torch.Generator().manual_seed(count)
    per_frame, total = 5, count + frames * 5
    q, k, v = torch.randn(3, 2, 3, total, 8, generator=generator, dtype=torch.float64)
    frame = torch.cat([torch.full((count,), -1), torch.arange(frames).repeat_interleave(per_frame)])
    allowed = (frame[:, None] == -1) | (frame[None] == -1) | (frame[:, None] == frame[None])
    dense = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    attend = proxy_attention(count, frames)
    torch.testing.assert_close(attend(q, k, v), dense, atol=1e-12, rtol=0)
    towards = torch.randn(dense.shape, generator=generator, dtype=torch.float64)
    given = [x.clone().requires_grad_() for x in (q, k, v)]
    gradients = torch.autograd.grad(attend(*given), given, towards)
    masked = torch.nn.functional.scaled_dot_product_attention(*given, attn_mask=allowed)
    for mine, theirs in zip(gradients, torch.autograd.grad(masked, given, towards), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=0)


def test_compiled_proxies_are_one_graph(backbone):
    """The whole encoding is traced without a break, with gradients and without, and gives the same features."""
    batch, module = clips(2, 3), proxies(backbone, 4)

    def encode(frames: torch.Tensor) -> torch.Tensor:
        return module.encode(backbone, VideoBatch(batch.ids, frames, batch.mask, batch.times)).vector

    compiled = torch.compile(encode, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch.frames), encode(batch.frames))
    with torch.no_grad():
        torch.testing.assert_close(compiled(batch.frames), encode(batch.frames))


def test_proxies_see_the_order_of_frames(backbone):
    """Playing a clip backwards changes the feature of video proxies with a temporal table."""
    batch, module = clips(2, 4), proxies(backbone, 4)
    reverse = VideoBatch(batch.ids, batch.frames.flip(1), batch.mask, batch.times)
    difference = module.encode(backbone, batch).vector - module.encode(backbone, reverse).vector
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_temporal_table_is_resampled_linearly(backbone, frames):
    """Another number of frames reads the table at evenly spaced half-pixel places."""
    module = proxies(backbone, 4, frames=4)
    rows = module.temporal.detach()
    place = ((torch.arange(frames) + 0.5) * len(rows) / frames - 0.5).clamp(0, len(rows) - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=len(rows) - 1)
    expected = rows[low] + (place - low)[:, None] * (rows[high] - rows[low])
    torch.testing.assert_close(module.temporal_table(frames), expected)


def test_mean_pool_ignores_padding_and_order(backbone):
    """Masked frames never change the mean, and neither does the order of the real ones."""
    module = mean_pool(backbone)
    padded = clips(2, 6, real=4)
    short = VideoBatch(padded.ids, padded.frames[:, :4].flip(1), padded.mask[:, :4], padded.times[:, :4])
    expected = module.encode(backbone, padded).vector
    torch.testing.assert_close(module.encode(backbone, short).vector, expected, atol=1e-5, rtol=0)


def test_mean_pool_of_no_frame_is_finite(backbone):
    """A clip without a real frame gives zeros, never NaN, and the score with it is 0."""
    module = mean_pool(backbone)
    features = module.encode(backbone, clips(2, 3, real=0))
    assert features.vector.abs().max() == 0
    assert torch.isfinite(module.score(features, features)).all()


def test_proxies_refuse_a_tower_without_class_token():
    """A backbone that pools by attention is refused by name, with the reason."""
    siglip = build_timm(TimmOptions(model="vit_base_patch16_siglip_224", vision_layers=1, text_layers=1))
    with pytest.raises(HarnessError, match=r"video_proxies.*class token"):
        build_proxies(VideoProxiesOptions(), context(siglip))
