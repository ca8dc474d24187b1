"""What to measure: one kernel, as text that any process can read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KernelTask:
    """One kernel to build and measure.

    Attributes
    ----------
    key : str
        Structural hash of the function, 32 hexadecimal characters; it also seeds the kernel's random inputs.
    relay_json : str
        `tvm.ir.save_json` of a type-inferred `relay.Function` with the attribute Primitive=1. Its parameters are
        typed tensors; its body is a tensor, a call that gives a tuple, or a tuple of several outputs; the only
        constants inside are scalars.
    num_ops : int
        Number of Relay calls in the function. A kernel of one op is its own reference.
    """

    key: str
    relay_json: str
    num_ops: int
