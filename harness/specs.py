"""What plugins declare: frozen data, never live objects.

A spec names a factory as ``"package.module:callable"``. Listing a hundred components therefore
imports none of them; the factory is imported when a run asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a component's options: subclass it with typed fields and defaults.

    A recipe's values are converted strictly, so a misspelt or mistyped option is an error that
    names its path before anything heavy is imported.
    """


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """What every component says about itself.

    ``factory`` is ``"package.module:callable"``; ``aliases`` are the papers' own names for it;
    ``options`` is the :class:`Options` subclass that the factory receives an instance of. ``small`` are
    values of options with which the component is made in a second from nothing but this package, where
    its defaults are large or ask for a download: `harness check` tries it with them. None: it cannot be
    made without files of its own, and is not tried.
    """

    name: str
    summary: str
    factory: str
    aliases: tuple[str, ...] = ()
    options: type[Options] = Options
    small: Mapping[str, Any] | None = field(default_factory=dict)
    paper: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class BackboneSpec(ComponentSpec):
    """An image-text dual tower; ``factory(options, load) -> harness.models.Backbone``.

    With ``load`` False the factory builds the same module and leaves its weights random: a finished
    model fills them, so nothing is read or downloaded only to be replaced. An option ``weights`` is
    a local file; its content, not its path, is part of a run's digest.
    ``variant_option`` is the option that the part after the slash fills in ``--backbone
    open_clip/ViT-H-14``. ``pretraining`` is a recipe (``"package:path.yaml"``) that makes this
    backbone's weights; it is run once and its result kept in the cache folder.
    """

    variant_option: str = ""
    pretraining: str = ""


@dataclass(frozen=True, kw_only=True)
class TemporalModuleSpec(ComponentSpec):
    """How a backbone is run over a clip; ``factory(options, context) -> TemporalModule``.

    ``stage_options`` are those that a stage of training may set, ``stages.NAME.temporal``, for a module
    that is not the same in all of them (:meth:`harness.models.TemporalModule.enter_stage`). ``files`` are
    options that may name a local file or folder: its content, not its path, is part of a run's digest.
    """

    stage_options: type[Options] = Options
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LossSpec(ComponentSpec):
    """A training objective; ``factory(options) -> harness.models.Loss``.

    ``sources`` names what it reads of a batch: ``video``, ``text``, ``frame`` (the clip's middle frame
    as a clip of one), ``question`` and ``answer``, and further texts by the name that a data set has for
    them, such as ``caption``. A loss with questions and without ``text`` has a sample for each question.
    ``features`` are those of them that are encoded, all where None; the others it sees as tokens only.
    A loss that ``generates`` is for a :class:`harness.models.GenerativeModule`.
    """

    sources: tuple[str, ...] = ("video", "text")
    features: tuple[str, ...] | None = None
    generates: bool = False


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(ComponentSpec):
    """An update rule; ``factory(options, groups) -> torch.optim.Optimizer``.

    ``groups`` is a list of torch parameter groups, each with ``params``, ``lr`` and
    ``weight_decay``; the engine sets ``lr`` before every step from the schedule.
    """


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec(ComponentSpec):
    """A learning rate over time; ``factory(options) -> callable``.

    Called with ``step`` (from 0), ``total`` steps of a stage and its base rate, it returns the factor
    on the base rate for that update.
    """


@dataclass(frozen=True, kw_only=True)
class CheckpointFormatSpec(ComponentSpec):
    """A layout of weights files; ``factory(options) -> harness.models.CheckpointFormat``.

    `harness run --init-from` and `harness evaluate` ask every format whether a file is its own,
    `harness export --to NAME` writes one.
    """


@dataclass(frozen=True, kw_only=True)
class CaptionerSpec(ComponentSpec):
    """A model that captions pictures; ``factory(options) -> harness.models.Captioner``.

    `harness caption DATASET --captioner NAME` has it describe the middle frame of every clip.
    """


@dataclass(frozen=True, kw_only=True)
class PublishedResultsSpec:
    """Results from the literature; ``rows`` is a YAML file, ``"package:path.yaml"``.

    :mod:`harness.results.published` says what may stand in it. ``name`` names the set: by
    convention the paper's method.
    """

    name: str
    summary: str
    rows: str
    aliases: tuple[str, ...] = ()
    paper: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class PostprocessorSpec(ComponentSpec):
    """A change of test scores that uses more than the pair itself, such as dual softmax.

    ``factory(options) -> callable``; called with scores ``[texts, videos]`` (float64 numpy) and
    ``missing`` (bool ``[videos]``, clips whose column means nothing), it returns the pair of
    matrices that text-to-video and video-to-text ranks are counted on.
    """


@dataclass(frozen=True, kw_only=True)
class TaskSpec(ComponentSpec):
    """What is evaluated; ``factory(options) -> harness.engine.Task``.

    ``needs`` names what a method has to offer, for example ``score`` or ``generate``. A task that is
    another way to score an existing one names that in ``protocols``, and has the protocols of that.
    ``audit`` is ``"package.module:callable"`` for a task with figures of its own. Called with a record's
    ``evidence`` it returns the figures by name, None for one that does not follow from it; any error is
    taken for evidence that is no such. Its module imports no torch: `harness audit` runs anywhere.
    """

    needs: tuple[str, ...] = ("score",)
    protocols: str = ""
    audit: str = ""


@dataclass(frozen=True, kw_only=True)
class ProtocolSpec:
    """One way of training and testing on a data set, with the sizes it is known by.

    ``tasks`` are those that it is for; the first protocol of a data set that is for a task is that
    task's default.
    ``val`` is the split that a model may be selected on, if the protocol has one.
    ``n_queries`` and ``n_gallery`` are the published counts (0: not fixed). ``texts_hash`` is the
    digest of the test ids and texts where it is known; a run whose own digest differs is marked.
    """

    name: str
    summary: str
    train: str
    test: str
    val: str = ""
    tasks: tuple[str, ...] = ("retrieval",)
    query_unit: str = "sentence"
    n_queries: int = 0
    n_gallery: int = 0
    texts_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(ComponentSpec):
    """Clips and their captions; ``factory(options, root) -> harness.data.Dataset``.

    ``recipe`` (``"package:path.yaml"``) holds the settings that belong to the data set, such as
    the budget of a toy one. ``generated`` data sets make their files themselves and need no data
    root; their ``fingerprint`` (generator version and the like) is part of every run's digest.
    With ``local_ids`` a clip's id is only its name under one data root, as in anybody's own folder.
    ``sample`` is ``"package.module:callable"``, called with an empty folder that it fills with a
    miniature of the data set, annotation files and real clips, in its owner's layout.
    """

    protocols: tuple[ProtocolSpec, ...]
    recipe: str = ""
    generated: bool = False
    fingerprint: str = ""
    local_ids: bool = False
    sample: str = ""

    @property
    def default_protocol(self) -> ProtocolSpec:
        return self.protocols[0]

    def protocol_for(self, task: str) -> ProtocolSpec | None:
        """The first protocol that is for a task."""
        return next((protocol for protocol in self.protocols if task in protocol.tasks), None)


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """A method is data: a recipe, and where needed another recipe for a data set.

    ``recipe`` and the values of ``recipes`` (by data set name) are ``"package:path.yaml"``, and so
    are those of ``variants``: recipes by name that a user may lay over it, ``--recipe NAME``. A name
    ``dataset/NAME`` stands in for ``NAME`` on that data set. ``ablations`` are files of such recipes,
    each a run of its own under a name (`harness ablate`), with the same rule, and ``tasks`` are recipes
    that belong to a task, with it too.
    ``offers`` says what the assembled model can do, matched with a task's ``needs``.
    """

    name: str
    summary: str
    recipe: str
    recipes: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)
    ablations: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    offers: tuple[str, ...] = ("score",)
    paper: str = ""
    licence: str = ""
