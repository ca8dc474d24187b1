"""What tests of learning share."""

from collections.abc import Iterator

import pytest

from tvm_go.learn.one_thread import one_thread


@pytest.fixture(scope="package", autouse=True)
def torch_with_one_thread() -> Iterator[None]:
    """Several threads for matrices this small take many times as long where others use the cores too."""
    with one_thread():
        yield
