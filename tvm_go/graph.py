"""OpGraph: a model's dataflow graph as frozen arrays, with no Relay in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tvm_go.arrays import freeze_arrays, run_starts

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
T = TypeVar("T", bound="NDArray[Any]")


class Pattern(IntEnum):
    """TVM's fusion class of an op (``tvm/include/tvm/relay/op_attr_types.h``, ``OpPatternKind``)."""

    ELEMENTWISE = 0
    BROADCAST = 1
    INJECTIVE = 2
    REDUCTION = 3
    OUT_FUSABLE = 4
    OPAQUE = 8


class ValueKind(IntEnum):
    """Where a value comes from."""

    OP = 0
    INPUT = 1
    CONSTANT = 2


@dataclass(frozen=True, eq=False)
class OpGraph:
    """The graph of a prepared model: N ops, V values, U uses, E edges.

    A *value* is one tensor: an output of an op, a graph input or a constant. A *use* is one tensor that an op reads;
    tuples are flattened, so ``concatenate`` of three tensors has three uses. An *edge* is a use of another
    op's output. Ops stand in topological order (the post-order of Relay's own traversal).

    Attributes
    ----------
    op_names, attr_texts, dtypes : tuple of str
        Vocabularies; ``op_name``, ``op_attrs`` and ``value_dtype`` index them.
    op_name, op_attrs : int32 [N]
        Operator name and canonical JSON of the attributes that matter for cost.
    pattern : int8 [N]
        Fusion class (:class:`Pattern`).
    flops : float64 [N]
        Floating point operations of one execution.
    free : bool [N]
        Ops that cost nothing alone: a reshape is a change of view to TVM's executors.
    fixed : bool [N]
        Ops that are not ours to compile: calls of kernels that are fused already or made by another code generator.
        They stay alone and cost the same in every plan.
    value_kind : int8 [V]
        :class:`ValueKind`.
    value_op, value_index : int32 [V]
        Producing op (-1 for none) and position among its outputs (or among the graph inputs).
    value_dtype : int32 [V]
    value_shape_start : int64 [V + 1]
        ``shape_dims[value_shape_start[v]:value_shape_start[v + 1]]`` is the shape of value ``v``.
    shape_dims : int64
    value_bytes : int64 [V]
    value_scalar : float64 [V]
        The number that a scalar constant holds (it is compiled into its kernel); NaN for all others.
    use_value, use_op, use_arg, use_field : int32 [U]
        The value read, the op that reads it, its argument, and the field if that argument is a tuple (else -1).
        Sorted by op, then argument, then field.
    output_values : int32
        The values that the graph returns, tuples flattened.
    input_names : tuple of str
    """

    op_names: tuple[str, ...]
    attr_texts: tuple[str, ...]
    dtypes: tuple[str, ...]
    op_name: Int32
    op_attrs: Int32
    pattern: NDArray[np.int8]
    flops: NDArray[np.float64]
    free: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    value_kind: NDArray[np.int8]
    value_op: Int32
    value_index: Int32
    value_dtype: Int32
    value_shape_start: Int64
    shape_dims: Int64
    value_bytes: Int64
    value_scalar: NDArray[np.float64]
    use_value: Int32
    use_op: Int32
    use_arg: Int32
    use_field: Int32
    output_values: Int32
    input_names: tuple[str, ...]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def num_ops(self) -> int:
        return len(self.op_name)

    @property
    def num_values(self) -> int:
        return len(self.value_op)

    @property
    def num_edges(self) -> int:
        return len(self.edge_use)

    @cached_property
    def edge_use(self) -> Int32:
        """The uses that read another op's output: int32 [E], sorted by reader."""
        return _frozen(np.flatnonzero(self.value_op[self.use_value] >= 0).astype(np.int32))

    @cached_property
    def edge_src(self) -> Int32:
        """Producing op of each edge: int32 [E]."""
        return _frozen(self.value_op[self.use_value[self.edge_use]])

    @cached_property
    def edge_dst(self) -> Int32:
        """Reading op of each edge: int32 [E]."""
        return _frozen(self.use_op[self.edge_use])

    @cached_property
    def edge_bytes(self) -> Int64:
        """Bytes that each edge carries: int64 [E]."""
        return _frozen(self.value_bytes[self.use_value[self.edge_use]])

    @cached_property
    def edge_elementwise(self) -> NDArray[np.bool_]:
        """Edges over which the reader keeps the index: elementwise, or broadcast with an unchanged shape: bool [E].

        FuseOps calls this the edge pattern (``tvm/src/relay/transforms/fuse_ops.cc``).
        """
        pattern = self.pattern[self.edge_dst]
        result = pattern == Pattern.ELEMENTWISE
        shape = self.value_type[:, 0]
        same = shape[self.use_value[self.edge_use]] == shape[self.op_first_value[self.edge_dst]]
        return _frozen(result | ((pattern == Pattern.BROADCAST) & same))

    @cached_property
    def moves_whole(self) -> NDArray[np.bool_]:
        """Injective ops that permute, cut or pad one tensor and keep its number of axes: bool [N].

        Transposes, slices, pads and layout changes; no reshapes, joins or look-ups.
        """
        uses = np.diff(self.use_start)
        outputs = np.bincount(self.value_op[self.value_op >= 0], minlength=self.num_ops)
        candidates = (self.pattern == Pattern.INJECTIVE) & ~self.free & (uses == 1) & (outputs == 1)
        axes = np.diff(self.value_shape_start)
        result = np.zeros(self.num_ops, dtype=np.bool_)
        read = self.use_value[self.use_start[:-1][candidates]]
        result[candidates] = axes[read] == axes[self.op_first_value[candidates]]
        layout = self.op_names.index("layout_transform") if "layout_transform" in self.op_names else -1
        return _frozen(result | (candidates & (self.op_name == layout)))

    @cached_property
    def use_start(self) -> Int64:
        """``[use_start[i], use_start[i + 1])`` are the uses of op ``i``: int64 [N + 1]."""
        return run_starts(self.use_op, self.num_ops)

    @cached_property
    def edge_start(self) -> Int64:
        """``[edge_start[i], edge_start[i + 1])`` are the edges into op ``i``: int64 [N + 1]."""
        return run_starts(self.edge_dst, self.num_ops)

    @cached_property
    def out_edges(self) -> tuple[Int64, Int32]:
        """Edges that leave each op: ``starts`` int64 [N + 1] and edge numbers int32 [E]."""
        order = np.argsort(self.edge_src, kind="stable").astype(np.int32)
        return run_starts(self.edge_src[order], self.num_ops), _frozen(order)

    @cached_property
    def is_output(self) -> NDArray[np.bool_]:
        """Values that the graph returns: bool [V]."""
        result = np.zeros(self.num_values, dtype=np.bool_)
        result[self.output_values] = True
        return _frozen(result)

    @cached_property
    def op_returned(self) -> NDArray[np.bool_]:
        """Ops of which the graph returns an output: bool [N]."""
        result = np.zeros(self.num_ops, dtype=np.bool_)
        producers = self.value_op[self.output_values]
        result[producers[producers >= 0]] = True
        return _frozen(result)

    @cached_property
    def op_first_value(self) -> Int32:
        """The value that is output 0 of each op; its other outputs follow: int32 [N]."""
        result = np.full(self.num_ops, -1, dtype=np.int32)
        first = np.flatnonzero((self.value_op >= 0) & (self.value_index == 0)).astype(np.int32)
        result[self.value_op[first]] = first
        return _frozen(result)

    @cached_property
    def value_type(self) -> NDArray[np.uint64]:
        """Two 64-bit hashes per value, of its shape and of its dtype: uint64 [V, 2]."""
        lengths = np.diff(self.value_shape_start)
        shape = lengths.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        for axis in range(int(lengths.max(initial=0))):
            has = lengths > axis
            dims = self.shape_dims[self.value_shape_start[:-1][has] + axis].astype(np.uint64)
            shape[has] = (shape[has] ^ (dims + np.uint64(axis + 1))) * np.uint64(0xBF58476D1CE4E5B9)
            shape[has] ^= shape[has] >> np.uint64(29)
        dtype = text_hashes(self.dtypes)[self.value_dtype, 0]
        return _frozen(np.stack([shape, dtype], axis=1))

    @cached_property
    def op_hash(self) -> NDArray[np.uint64]:
        """What an op is, apart from its inputs: two 64-bit hashes of its name and attributes, uint64 [N, 2]."""
        names, attrs = text_hashes(self.op_names), text_hashes(self.attr_texts)
        return _frozen(names[self.op_name] * np.uint64(0x9E3779B97F4A7C15) + attrs[self.op_attrs])

    @cached_property
    def structural_hash(self) -> str:
        """Hash of operators, attributes, types, scalars and wiring; names and weights do not enter: 32 hex digits."""
        digest = hashlib.sha256(b"tvm-go OpGraph 1")
        for field in fields(self):
            if field.name in ("input_names", "flops", "value_bytes"):
                continue
            data = getattr(self, field.name)
            text = "\0".join(data).encode() if isinstance(data, tuple) else np.ascontiguousarray(data).tobytes()
            digest.update(f"{field.name}:{len(text)}:".encode())
            digest.update(text)
        return digest.hexdigest()[:32]

    def shape(self, value: int) -> tuple[int, ...]:
        """Shape of one value."""
        start, stop = self.value_shape_start[value : value + 2]
        return tuple(int(d) for d in self.shape_dims[start:stop])

    def outputs_of(self, op: int) -> range:
        """The values that an op makes."""
        first = stop = int(self.op_first_value[op])
        while stop < self.num_values and self.value_op[stop] == op:
            stop += 1
        return range(first, stop)

    def name(self, op: int) -> str:
        """Operator name of one op."""
        return self.op_names[self.op_name[op]]


def item_bytes(dtype: str) -> int:
    """What one element of a dtype, as TVM writes it, takes in memory: TVM packs no elements into one byte."""
    bits = re.search(r"(\d+)(?:x(\d+))?$", dtype)
    return 1 if bits is None else (int(bits[1]) * int(bits[2] or 1) + 7) // 8


def vocabulary(texts: Sequence[str]) -> tuple[tuple[str, ...], Int32]:
    """The distinct texts in order, and the number of each text among them: int32 [len(texts)]."""
    words = tuple(sorted(set(texts)))
    number = {word: position for position, word in enumerate(words)}
    return words, np.array([number[text] for text in texts], dtype=np.int32)


def text_hashes(texts: tuple[str, ...]) -> NDArray[np.uint64]:
    """Two 64-bit hashes of each text, the same in every process: uint64 [len(texts), 2]."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:16] for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64).reshape(-1, 2)


def _frozen(array: T) -> T:
    array.setflags(write=False)
    return array
