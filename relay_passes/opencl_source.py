"""OpenCL C that means what TVM's code means: the largest float with all its digits.

TVM writes floats with seven digits. That is enough for nearly all of them, but the least float, where maxima start and
what masks put in, becomes larger than it is: a row that is masked everywhere on another device then has a maximum that
none of its values reaches, and its softmax is not a number.
"""

from __future__ import annotations

import tvm

_NAME = "tvm_callback_opencl_postproc"  # TVM calls it with the code of each kernel
_SHORT, _WHOLE = "3.402823e+38f", "3.40282347e+38f"


def _with_all_digits(code: str, _: tvm.target.Target) -> str:
    """A kernel's code with the largest float written out."""
    return code.replace(_SHORT, _WHOLE)


if tvm.get_global_func(_NAME, allow_missing=True) is None:  # a user's own stays
    tvm.register_func(_NAME, _with_all_digits)
