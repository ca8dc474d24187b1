"""Binary heaps in parts of two arrays: the smallest key comes first, and of equal keys the smallest number."""

from __future__ import annotations

from numba import njit

from tvm_go.graph import Int32
from tvm_go.simulate.workload import Floats


@njit(cache=True, nogil=True)
def push(keys: Floats, numbers: Int32, base: int, size: int, key: float, number: int) -> None:
    """Add to the heap that starts at ``base`` and holds ``size``."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        other = keys[base + parent]
        if other < key or (other == key and numbers[base + parent] < number):
            break
        keys[base + place] = other
        numbers[base + place] = numbers[base + parent]
        place = parent
    keys[base + place] = key
    numbers[base + place] = number


@njit(cache=True, nogil=True)
def pop(keys: Floats, numbers: Int32, base: int, size: int) -> int:
    """Take the first number out of the heap that starts at ``base`` and holds ``size``."""
    first = numbers[base]
    size -= 1
    key, number = keys[base + size], numbers[base + size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        smaller = keys[base + child]
        if child + 1 < size:
            right = keys[base + child + 1]
            if right < smaller or (right == smaller and numbers[base + child + 1] < numbers[base + child]):
                child += 1
                smaller = right
        if key < smaller or (key == smaller and number < numbers[base + child]):
            break
        keys[base + place] = smaller
        numbers[base + place] = numbers[base + child]
        place = child
    keys[base + place] = key
    numbers[base + place] = number
    return first
