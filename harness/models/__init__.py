"""The heavy half of the public interface: what a plugin's factories return. Imports torch."""

from harness.models.backbone import Backbone, Preprocess, Tokenizer, Vocabulary
from harness.models.batch import Batch, Encoding, Features, TextBatch, VideoBatch
from harness.models.captioner import Captioner
from harness.models.checkpoint_format import CheckpointFormat
from harness.models.clip_names import from_huggingface, is_huggingface, to_huggingface
from harness.models.files import differences, is_torchscript, read_tensors
from harness.models.generation import Decoding, GenerativeModule, Writer, beam_search, forced_scores, said
from harness.models.loss import Loss, LossInputs
from harness.models.temporal import BuildContext, ClipAttention, TemporalModule
from harness.models.text_tower import TextView
from harness.models.tower import Attention, PatchProjection, TowerBlock, TowerView, full_attention

__all__ = [
    "Attention",
    "Backbone",
    "Batch",
    "BuildContext",
    "Captioner",
    "CheckpointFormat",
    "ClipAttention",
    "Decoding",
    "Encoding",
    "Features",
    "GenerativeModule",
    "Loss",
    "LossInputs",
    "PatchProjection",
    "Preprocess",
    "TemporalModule",
    "TextBatch",
    "TextView",
    "Tokenizer",
    "TowerBlock",
    "TowerView",
    "VideoBatch",
    "Vocabulary",
    "Writer",
    "beam_search",
    "differences",
    "forced_scores",
    "from_huggingface",
    "full_attention",
    "is_huggingface",
    "is_torchscript",
    "read_tensors",
    "said",
    "to_huggingface",
]
