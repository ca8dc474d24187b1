"""Memory by order against what can be said in a few lines of Python, on random graphs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvm_go.errors import UsageError
from tvm_go.simulate.kernel_tensors import KernelTensors
from tvm_go.simulate.peak_memory import least_peak_bytes, live_bytes, peak_bytes, plan_memory, planned_bytes


def random_tensors(seed: int, num_kernels: int, *, views: bool = True) -> KernelTensors:
    """Kernels with one or two outputs that read up to three tensors, some twice; some are views."""
    rng = np.random.default_rng(seed)
    made: list[list[int]] = []
    uses: list[list[int]] = []
    sizes: list[int] = []
    is_view: list[bool] = []
    for _ in range(num_kernels):
        view = views and bool(rng.random() < 0.2)
        known = len(sizes)
        uses.append([])
        if known:
            uses[-1] = rng.integers(max(0, known - 6), known, size=1 if view else rng.integers(4)).tolist()
        count = 1 if view else int(rng.integers(1, 3))
        made.append(list(range(known, known + count)))
        sizes += [sizes[uses[-1][0]]] if view and uses[-1] else (4 ** rng.integers(0, 6, size=count)).tolist()
        is_view.append(view)
    read = {tensor for tensors in uses for tensor in tensors}
    returned = [tensor not in read or bool(rng.random() < 0.1) for tensor in range(len(sizes))]
    if len(sizes) > 1:
        returned[-2] = False  # perhaps an output that nobody wants
    return KernelTensors(
        output_start=np.cumsum([0, *map(len, made)]).astype(np.int64),
        output_bytes=np.array(sizes, dtype=np.int64),
        use_start=np.cumsum([0, *map(len, uses)]).astype(np.int64),
        use_tensor=np.array([tensor for tensors in uses for tensor in tensors], dtype=np.int32),
        is_view=np.array(is_view, dtype=np.bool_),
        returned=np.array(returned, dtype=np.bool_),
    )


def random_order(tensors: KernelTensors, seed: int) -> np.ndarray:
    """Any topological order may come out."""
    rng = np.random.default_rng(seed)
    waiting = np.diff(tensors.use_start)
    starts, readers = tensors.readers
    ready = np.flatnonzero(waiting == 0).tolist()
    order = []
    while ready:
        kernel = ready.pop(rng.integers(len(ready)))
        order.append(kernel)
        for reader in readers[starts[kernel] : starts[kernel + 1]].tolist():
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return np.array(order, dtype=np.int32)


def live_by_definition(tensors: KernelTensors, order: np.ndarray) -> list[int]:
    """A memory is alive from the kernel that makes it to the last that reads it or a view of it."""
    count = tensors.num_kernels
    place = np.empty(count, dtype=int)
    place[order] = range(count)
    memory: dict[int, int] = {}  # tensor -> the tensor whose memory it is; -1 for what the graph keeps
    for kernel in range(count):
        uses = tensors.use_tensor[tensors.use_start[kernel] : tensors.use_start[kernel + 1]].tolist()
        for tensor in range(*tensors.output_start[kernel : kernel + 2]):
            view_of = memory[uses[0]] if uses else -1
            memory[tensor] = view_of if tensors.is_view[kernel] else tensor
    begin = {tensor: place[tensors.tensor_kernel[tensor]] for tensor, own in memory.items() if own == tensor}
    end = dict(begin)
    for kernel in range(count):
        for tensor in tensors.use_tensor[tensors.use_start[kernel] : tensors.use_start[kernel + 1]].tolist():
            if memory[tensor] >= 0:
                end[memory[tensor]] = max(end[memory[tensor]], place[kernel])
    for tensor in np.flatnonzero(tensors.returned).tolist():
        if memory[tensor] >= 0:
            end[memory[tensor]] = count
    return [
        sum(int(tensors.output_bytes[tensor]) for tensor in begin if begin[tensor] <= step <= end[tensor])
        for step in range(count)
    ]


@given(st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_live_bytes_are_those_of_the_definition(seed: int, num_kernels: int) -> None:
    tensors = random_tensors(seed, num_kernels)
    order = random_order(tensors, seed + 1)
    tensors.check_order(order)
    assert live_bytes(tensors, order).tolist() == live_by_definition(tensors, order)


@given(st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_no_two_tensors_that_are_alive_together_share_a_block_that_holds_them(seed: int, num_kernels: int) -> None:
    tensors = random_tensors(seed, num_kernels)
    order = random_order(tensors, seed + 1)
    block, block_bytes = plan_memory(tensors, order)
    storage = tensors.storage
    owners = np.flatnonzero(storage.owner == np.arange(len(storage.owner)))
    assert (tensors.output_bytes[owners] <= block_bytes[block[owners]]).all()
    assert set(block[owners].tolist()) == set(range(len(block_bytes)))
    place = np.empty(num_kernels, dtype=int)
    place[order] = range(num_kernels)
    begin = place[tensors.tensor_kernel]
    end = np.where(np.isin(np.arange(len(begin)), storage.owner[tensors.returned]), num_kernels, begin)
    for kernel in range(num_kernels):
        read = storage.read[storage.read_start[kernel] : storage.read_start[kernel + 1]]
        end[read] = np.maximum(end[read], place[kernel])
    for step in range(num_kernels):
        alive = owners[(begin[owners] <= step) & (step <= end[owners])]
        assert max(Counter(block[alive].tolist()).values(), default=1) == 1


@given(st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_least_peak_is_at_most_the_peak_and_the_peak_at_most_what_is_planned(seed: int, num_kernels: int) -> None:
    tensors = random_tensors(seed, num_kernels)
    order = random_order(tensors, seed + 1)
    assert least_peak_bytes(tensors) <= peak_bytes(tensors, order) <= planned_bytes(tensors, order)


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_least_peak_is_reached_by_a_chain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 20))
    tensors = KernelTensors(
        output_start=np.arange(count + 1),
        output_bytes=rng.integers(1, 1000, size=count),
        use_start=np.maximum(np.arange(count + 1) - 1, 0),
        use_tensor=np.arange(count - 1, dtype=np.int32),
        is_view=np.zeros(count, dtype=np.bool_),
        returned=np.arange(count) == count - 1,
    )
    assert peak_bytes(tensors, np.arange(count, dtype=np.int32)) == least_peak_bytes(tensors)


@pytest.mark.parametrize("sizes", [(100, 1615, 1), (100, 1616, 2), (1600, 100, 1), (1601, 100, 2)])
def test_a_block_serves_a_tensor_up_to_sixteen_times_larger_or_smaller(sizes: tuple[int, int, int]) -> None:
    """A kernel whose output nobody wants, and after it another: it may take the first one's block."""
    first, second, blocks = sizes
    tensors = KernelTensors(
        output_start=np.arange(3),
        output_bytes=np.array([first, second]),
        use_start=np.zeros(3, dtype=np.int64),
        use_tensor=np.empty(0, dtype=np.int32),
        is_view=np.zeros(2, dtype=np.bool_),
        returned=np.array([False, True]),
    )
    planned = plan_memory(tensors, np.arange(2, dtype=np.int32))[1]
    assert planned.tolist() == ([max(first, second)] if blocks == 1 else [first, second])


@pytest.mark.parametrize("order", [[0], [0, 0, 1], [1, 0, 2], [0, 1, 3]])
def test_what_is_no_order_of_the_kernels_is_refused(order: list[int]) -> None:
    tensors = KernelTensors(
        output_start=np.arange(4),
        output_bytes=np.ones(3, dtype=np.int64),
        use_start=np.array([0, 0, 1, 2]),
        use_tensor=np.array([0, 1], dtype=np.int32),
        is_view=np.zeros(3, dtype=np.bool_),
        returned=np.array([False, False, True]),
    )
    with pytest.raises(UsageError, match="kernel"):
        tensors.check_order(np.array(order, dtype=np.int32))
