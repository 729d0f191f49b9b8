"""MSR-VTT as the retrieval literature uses it: 1k-A test, train-9k and train-7k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from harness import HarnessError
from harness.data import Caption, Clip, DataReport, Dataset
from harness_msrvtt.files import VIDEO_SUFFIXES, Tree, read_ids, read_sentences, read_test, scan
from harness_msrvtt.options import MsrvttOptions

TEST_SPLIT = "test-1k-A"
_LISTS = {
    "train-9k": "MSRVTT_train.9k.csv",
    "train-7k": "MSRVTT_train.7k.csv",
    TEST_SPLIT: "MSRVTT_JSFUSION_test.csv",
}
_SENTENCES = ("MSRVTT_data.json", "MSR_VTT.json")
_ANNOTATIONS = (*_LISTS.values(), *_SENTENCES)


def build(options: MsrvttOptions, root: Path) -> MsrvttDataset:
    """Look at ``root`` and make the data set; see :class:`harness.data.Dataset` for errors."""
    return MsrvttDataset(options, Path(root))


class MsrvttDataset(Dataset):
    """Clips by the csv lists, training sentences from the JSON, videos by stem under the root.

    Annotation files are read when a split first needs them: evaluation asks for no JSON.
    """

    def __init__(self, options: MsrvttOptions, root: Path) -> None:
        self._tree = scan(root, _ANNOTATIONS)
        source = self._tree
        if options.annotations:
            source = scan(Path(options.annotations).expanduser(), _ANNOTATIONS)
        self._annotations = source
        self._lists: dict[str, list[str]] = {}
        if not source.annotations:
            raise HarnessError(
                f"no MSR-VTT annotation file in {source.root} or two folders below it; "
                f"looked for {', '.join(_ANNOTATIONS)}",
                "put the files of CLIP4Clip's msrvtt_data.zip into the data root, or name their "
                "folder with the data set's option 'annotations'",
            )
        if not self._tree.videos:
            raise HarnessError(
                f"no video file in {root} ({_folders(self._tree)} searched for names ending in "
                f"{' '.join(sorted(VIDEO_SUFFIXES))})",
                "put the videos, named like video0.mp4, anywhere under the data root",
            )

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips in the order of the split's csv file; ``path`` is None where no video was found."""
        return [Clip(name, self._tree.videos.get(name)) for name in self._ids(split)]

    def captions(self, split: str, source: str = "text") -> Sequence[Caption]:
        """Test: the csv sentences. Train: every sentence of the listed clips, in JSON order."""
        if source != "text":
            raise HarnessError(
                f"the data set msrvtt has no text source {source!r}", "its only source is 'text'"
            )
        if split == TEST_SPLIT:
            return [Caption(key, video, text) for key, video, text in self._test]
        ids = set(self._ids(split))
        counts: Counter[str] = Counter()
        captions = []
        for video, text in self._sentences:
            if video in ids:
                # Not the file's own sen_id: merged files restart it.
                captions.append(Caption(f"{video}#{counts[video]}", video, text))
                counts[video] += 1
        self._refuse_silent_clips(split, counts)
        return captions

    def check(self, splits: Sequence[str]) -> DataReport:
        """Count found and missing clips, and say where several files carry one clip's name."""
        report = super().check(splits)
        if not self._tree.repeated:
            return report
        note = (
            f"video files passed over because another has their stem: {self._tree.repeated}; "
            "the one higher up in the tree, then the first by path, is used"
        )
        return DataReport(report.found, report.missing, (*report.notes, note))

    def _refuse_silent_clips(self, split: str, counts: Counter[str]) -> None:
        """A list and a JSON of different halves of MSR-VTT would quietly train on fewer clips."""
        silent = [name for name in self._ids(split) if not counts[name]]
        if silent:
            raise HarnessError(
                f"{self._json} has no sentence for {len(silent)} clips of {split}, "
                f"such as {', '.join(silent[:3])}",
                "use the file that holds the sentences of all 10 000 videos",
            )

    def _ids(self, split: str) -> list[str]:
        if split not in _LISTS:
            raise HarnessError(
                f"the data set msrvtt has no split {split!r}",
                f"its splits are {', '.join(_LISTS)}",
            )
        if split == TEST_SPLIT:
            return list(dict.fromkeys(video for _, video, _ in self._test))
        if split not in self._lists:
            self._lists[split] = read_ids(self._file(_LISTS[split]))
        return self._lists[split]

    @cached_property
    def _test(self) -> list[tuple[str, str, str]]:
        return read_test(self._file(_LISTS[TEST_SPLIT]))

    @cached_property
    def _sentences(self) -> list[tuple[str, str]]:
        return read_sentences(self._json)

    @cached_property
    def _json(self) -> Path:
        return self._file(*_SENTENCES)

    def _file(self, *names: str) -> Path:
        """The first of these annotation files that was found."""
        for name in names:
            if name in self._annotations.annotations:
                return self._annotations.annotations[name]
        raise HarnessError(
            f"{' or '.join(names)} is neither in {self._annotations.root} nor up to two folders "
            f"below it; found {', '.join(sorted(self._annotations.annotations))}",
            "add the file from CLIP4Clip's msrvtt_data.zip",
        )


def _folders(tree: Tree) -> str:
    return f"{tree.folders} folder" + ("s" if tree.folders != 1 else "")
