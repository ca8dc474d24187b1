"""Torch has one thread while training and as many as before afterwards."""

import pytest
import torch

from tvm_go.learn.one_thread import one_thread


def test_the_number_of_threads_is_one_within_and_as_before_afterwards_also_after_an_error() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt), one_thread():
            assert torch.get_num_threads() == 1
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
