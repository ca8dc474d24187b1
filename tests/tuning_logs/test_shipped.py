"""Records that come with the package load and parse; records for other CPUs are refused by name."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cost_model.kernel_tuning import ISAS, isa_of
from relay_passes.schedules import Tiling
from relay_passes.variants import DEFAULT
from relay_passes.variants.registry import VARIANTS
from tests.tuning_logs.samples import kernel
from tuning_logs import KernelRecord, TuningLog
from tuning_logs.shipped import (
    best_records,
    lowerings_from,
    lowerings_of,
    records_for,
    shipped_forms,
    shipped_lowerings,
    write_forms,
    write_records,
)
from tvm_go.errors import LogError
from tvm_go.lowering import TE, TIR, Lowering

AVX2, AVX512 = "llvm -keys=cpu -mcpu=core-avx2", "llvm -keys=cpu -mcpu=skylake-avx512"
TILED = Lowering("tir", '{"columns_first":true,"rows":[4],"unroll":1,"vectors":2}')


def record(key: str, lowering: Lowering, milliseconds: float, target: str = AVX2) -> KernelRecord:
    return kernel(
        key=key * 32,
        lowering=lowering.to_text(),
        median_ms=milliseconds,
        target=target,
        host_cpu="A CPU of 2015",
    )


FAILED = replace(record("a", TILED, 0.1), median_ms=float("inf"), times_ms=(), error_kind="build_error")


@pytest.mark.parametrize("isa", ISAS)
def test_shipped_records_are_the_best_of_their_kernels_for_such_cpus(isa: str) -> None:
    records = records_for(isa)
    assert records
    assert records == best_records(records)
    assert {isa_of(one.target) for one in records} == {isa}
    assert all(one.numerics in ("ok", "single_op", "sensitive") for one in records)


@pytest.mark.parametrize("isa", ISAS)
def test_every_shipped_lowering_parses(isa: str) -> None:
    found = shipped_lowerings(isa)
    assert set(found) == {one.key for one in records_for(isa)}
    lowerings = [one for several in found.values() for one in several]
    assert any(one.is_tuned for one in lowerings)
    for one in lowerings:
        assert Lowering.from_text(one.to_text()) == one
        if one.kind == "tir" and one.is_tuned:
            Tiling.from_json(json.loads(one.detail))


def test_there_is_nothing_for_other_cpus() -> None:
    assert shipped_lowerings(None) == {}
    assert shipped_lowerings("neon") == {}


@pytest.mark.parametrize(
    ("target", "isa"),
    [
        ("llvm -mcpu=core-avx2", "avx2"),
        ("llvm -mcpu=znver2", "avx2"),
        ("llvm -mattr=+avx2,+fma", "avx2"),
        ("llvm -mcpu=skylake-avx512", "avx512"),
        ("llvm -mcpu=znver4 -num-cores=8", "avx512"),
        ("llvm", None),
        ("llvm -mcpu=nehalem", None),
        ("llvm -mtriple=aarch64-linux-gnu -mattr=+neon", None),
        ("opencl", None),
    ],
)
def test_the_class_of_a_target_follows_from_its_features(target: str, isa: str | None) -> None:
    assert isa_of(target) == isa


def test_lowerings_come_best_first_and_without_failures() -> None:
    records = [record("a", TE, 3.0), record("a", TIR, 2.0), record("b", TILED, 1.0), FAILED]
    assert lowerings_of(records) == {"a" * 32: (TIR, TE), "b" * 32: (TILED,)}
    assert best_records(records) == [records[1], records[2]]


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_a_log_serves_other_cpus_of_its_class(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    written = [record("a", TILED, 1.0), record("b", TILED, 1.0, target=AVX512)]
    if name.endswith(".gz"):
        write_records(path, written)
    else:
        for one in written:
            TuningLog(path).append(one)
    assert lowerings_from(path, target="llvm -mcpu=znver2", isa_of=isa_of) == {"a" * 32: (TILED,)}


def test_a_log_of_another_cpu_generation_is_refused_and_both_are_named(tmp_path: Path) -> None:
    TuningLog(tmp_path / "log.jsonl").append(record("a", TILED, 1.0))
    with pytest.raises(LogError) as caught:
        lowerings_from(tmp_path / "log.jsonl", target=AVX512, isa_of=isa_of)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("avx2", AVX2, "A CPU of 2015", "avx512", AVX512):
        assert part in message


def test_a_log_serves_exactly_its_target_where_there_are_no_classes(tmp_path: Path) -> None:
    arm = "llvm -keys=arm_cpu,cpu -mtriple=aarch64-linux-gnu"
    TuningLog(tmp_path / "log.jsonl").append(record("a", TILED, 1.0, target=arm))
    assert lowerings_from(tmp_path / "log.jsonl", target=arm, isa_of=isa_of)
    with pytest.raises(LogError, match="other CPUs"):
        lowerings_from(tmp_path / "log.jsonl", target="llvm -keys=cpu", isa_of=isa_of)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.jsonl", None, "no such file"),
        ("empty.jsonl", b"", "holds no kernel"),
        ("torn.jsonl.gz", gzip.compress(b"x" * 1000, mtime=0)[:-9], "get the file again"),
        ("plain.jsonl.gz", b"{}", "get the file again"),
        ("odd.jsonl.gz", gzip.compress(b'{"version": 2}\n', mtime=0), r"odd\.jsonl\.gz:1: field 'kind'"),
    ],
    ids=["missing", "empty", "torn", "not compressed", "odd record"],
)
def test_a_file_that_is_no_log_says_why(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LogError, match=words):
        lowerings_from(tmp_path / name, target=AVX2, isa_of=isa_of)


def test_equal_records_give_equal_bytes_and_half_a_file_is_never_seen(tmp_path: Path) -> None:
    records = [record("a", TILED, 1.0), record("b", TIR, 2.0)]
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        write_records(tmp_path / name, records)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.jsonl.gz", "two.jsonl.gz"]


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot write records"):
        write_records(tmp_path / "file" / "avx2.jsonl.gz", [])


def test_forms_are_read_as_written_and_others_are_kept(tmp_path: Path) -> None:
    assert shipped_forms("avx2", folder=tmp_path) == {}
    write_forms(tmp_path, "avx2", {"a": "NCHW"})
    write_forms(tmp_path, "avx2", {"a": "NHWC", "b": "default"})
    assert shipped_forms("avx2", folder=tmp_path) == {"a": "NHWC", "b": "default"}
    assert shipped_forms(None, folder=tmp_path) == {}


def test_a_broken_file_of_forms_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "avx2.variants.json").write_text("{")
    with pytest.raises(LogError, match=r"cannot read the variants in .*avx2.variants.json"):
        shipped_forms("avx2", folder=tmp_path)


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_shipped_forms_are_variants_that_there_are(isa: str) -> None:
    names = {variant.name for variants in VARIANTS.values() for variant in variants} | {DEFAULT}
    assert set(shipped_forms(isa).values()) <= names
