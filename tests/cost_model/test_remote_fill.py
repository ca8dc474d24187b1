"""Inputs made on the server are those that the reference was computed with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cost_model.kernel_inputs import BLOCK, InputRange, TensorSpec, block_start, random_input
from cost_model.remote_fill import RemoteFill, write_fill_library
from cost_model.rpc import RpcConnection
from relay_passes.targets import as_target

KEY = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteFill]:
    path: Path = tmp_path_factory.mktemp("fill") / "fill.so"
    write_fill_library(as_target("native"), path)
    with RpcConnection() as connection, connection.session(session_timeout_s=60) as session:
        yield RemoteFill(session, session.cpu(0), str(path))


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("shape", [(), (1,), (4, 5), (BLOCK,), (BLOCK + 1,), (2, BLOCK), (3, 7, 11, 501)])
def test_the_server_makes_the_same_numbers(fill: RemoteFill, shape: tuple[int, ...], positive: bool) -> None:
    spec, values = TensorSpec(shape, "float32"), InputRange(0, 8, positive)
    for index in (0, 5):
        made: Any = fill.tensor(spec, start=block_start(KEY, index), positive=positive)
        assert made.shape == shape
        np.testing.assert_array_equal(made.numpy(), random_input(spec, values, KEY, index))


def test_a_weight_of_a_hundred_megabytes_is_there_at_once(fill: RemoteFill) -> None:
    start = time.monotonic()
    fill.tensor(TensorSpec((4096, 6400), "float32"), start=0, positive=False)
    assert time.monotonic() - start < 1.0  # sending it takes two seconds
