"""What to measure: one kernel, as text that any process can read."""

from dataclasses import dataclass

from tvm_go.lowering import TE, Lowering


@dataclass(frozen=True)
class KernelTask:
    """One kernel to build and measure.

    Attributes
    ----------
    key : str
        Names this task among others, in letters and digits; it also seeds the kernel's random inputs.
    relay_json : str
        `tvm.ir.save_json` of a type-inferred `relay.Function` with the attribute Primitive=1. Its parameters are
        typed tensors; its body is a tensor, a call that gives a tuple, or a tuple of several outputs; the only
        constants inside are scalars.
    num_ops : int
        Number of Relay calls in the function. A kernel of one op in its TE lowering is its own reference.
    lowering : Lowering
        How to schedule it.
    """

    key: str
    relay_json: str
    num_ops: int
    lowering: Lowering = TE

    @property
    def has_reference(self) -> bool:
        """Whether its numbers can be compared with something else than itself."""
        return self.num_ops > 1 or self.lowering != TE
