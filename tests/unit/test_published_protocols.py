"""The published annotation files give the protocols that the plugins state."""

from __future__ import annotations

import shutil

import pytest

from harness import DatasetSpec, ProtocolSpec
from harness.plugins import registry
from tests.support.annotated import identity, open_spec
from tests.support.published import published


def stated() -> list:
    """Every protocol that states a hash, of a data set that does not make its files itself."""
    specs = [spec for spec, _ in registry().specs("datasets") if not spec.generated]
    return [
        pytest.param(spec, protocol, id=f"{spec.name}-{protocol.name}")
        for spec in specs
        for protocol in spec.protocols
        if protocol.texts_hash
    ]


def test_most_data_sets_state_a_hash():
    """The tests below are about the data sets whose annotation files are in circulation."""
    assert {"msrvtt", "didemo", "activitynet"} <= {parameter.values[0].name for parameter in stated()}


@pytest.mark.parametrize(("spec", "protocol"), stated())
def test_protocols_are_those_of_the_published_files(spec: DatasetSpec, protocol: ProtocolSpec):
    """Counts and hash of the ids and texts are as stated."""
    dataset = open_spec(spec, published(spec.name))
    report = dataset.report(protocol.test)
    assert (report.captions, report.clips) == (protocol.n_queries, protocol.n_gallery)
    assert identity(dataset, protocol.test) == protocol.texts_hash


def test_another_copy_is_the_same_protocol(tmp_path):
    """GRAM's file for MSR-VTT 1k-A has the hash of the csv that everybody uses."""
    spec, _ = registry().find("datasets", "msrvtt")
    shutil.copy(published("msrvtt") / "valor_descs_ret_test.json.gz", tmp_path)
    assert identity(open_spec(spec, tmp_path), "test-1k-A") == spec.default_protocol.texts_hash
