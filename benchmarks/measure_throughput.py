"""Kernels built and measured per second, with the numerics check: `python benchmarks/measure_throughput.py`.

The kernels are what FuseOps makes of CNNs and transformers, hand-made in realistic sizes, all distinct.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time

import tvm
from tvm import relay

from cost_model.kernel_task import KernelTask
from cost_model.measure import MeasureConfig, Measurer


def tensor(name: str, *shape: int) -> relay.Var:
    """A float32 parameter."""
    return relay.var(name, shape=shape, dtype="float32")


def primitive(parameters: list[relay.Var], body: relay.Expr) -> KernelTask:
    """A task from a kernel's body."""
    module = relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(parameters, body)))
    function = module["main"].with_attr("Primitive", tvm.tir.IntImm("int32", 1))
    calls: list[relay.Call] = []
    relay.analysis.post_order_visit(function, lambda e: calls.append(e) if isinstance(e, relay.Call) else None)
    text = tvm.ir.save_json(function)
    return KernelTask(hashlib.sha256(text.encode()).hexdigest()[:32], text, len(calls))


def conv_bias_relu(channels: int, filters: int, size: int, kernel: int, *, residual: bool) -> KernelTask:
    """A convolution in NCHWc with bias and ReLU, as in a ResNet; with the residual addition if asked."""
    data = tensor("data", 1, channels // 16, size, size, 16)
    weight = tensor("weight", filters // 16, channels // 16, kernel, kernel, 16, 16)
    bias = tensor("bias", 1, filters // 16, 1, 1, 16)
    conv = relay.nn.contrib_conv2d_nchwc(
        data,
        weight,
        channels=filters,
        kernel_size=(kernel, kernel),
        padding=(kernel // 2,) * 4,
        data_layout="NCHW16c",
        kernel_layout="OIHW16i16o",
        out_layout="NCHW16c",
    )
    if residual:
        skip = tensor("skip", 1, filters // 16, size, size, 16)
        return primitive([data, weight, bias, skip], relay.nn.relu(conv + bias + skip))
    return primitive([data, weight, bias], relay.nn.relu(conv + bias))


def dense_add(rows: int, units: int, depth: int, *, gelu: bool) -> KernelTask:
    """A dense layer with bias, and GELU if asked, as in a transformer."""
    data, weight, bias = tensor("data", rows, depth), tensor("weight", units // 32, depth, 32), tensor("bias", units)
    body = relay.nn.contrib_dense_pack(data, weight, "NK32n", units=units) + bias
    if gelu:
        half, one, scale = (relay.const(value, "float32") for value in (0.5, 1.0, 0.70710678))
        body = body * half * (one + relay.erf(body * scale))
    return primitive([data, weight, bias], body)


def layer_norm_tail(rows: int, width: int) -> KernelTask:
    """The elementwise end of a layer norm."""
    data, mean, variance = tensor("data", 1, rows, width), tensor("mean", 1, rows, 1), tensor("variance", 1, rows, 1)
    scale, shift = tensor("scale", width), tensor("shift", width)
    body = (data - mean) * relay.rsqrt(variance + relay.const(1e-5, "float32")) * scale + shift
    return primitive([data, mean, variance, scale, shift], body)


def attention_scores(heads: int, rows: int, width: int) -> KernelTask:
    """Scaled and masked attention scores."""
    queries, keys = tensor("queries", heads, rows, width), tensor("keys", heads, rows, width)
    mask = tensor("mask", 1, 1, rows)
    return primitive([queries, keys, mask], relay.nn.batch_matmul(queries, keys) * relay.const(0.125, "float32") + mask)


def split_heads(rows: int, heads: int, width: int) -> KernelTask:
    """Bias, then the layout change in front of an attention."""
    data, bias = tensor("data", rows, heads * width), tensor("bias", heads * width)
    body = relay.transpose(relay.reshape(data + bias, (1, rows, heads, width)), (0, 2, 1, 3))
    return primitive([data, bias], body)


def pooled(channels: int, size: int) -> KernelTask:
    """Max pooling after an activation."""
    data = tensor("data", 1, channels // 16, size, size, 16)
    pool = relay.nn.max_pool2d(relay.nn.relu(data), (3, 3), (2, 2), padding=(1, 1, 1, 1), layout="NCHW16c")
    return primitive([data], pool)


def kernels() -> list[KernelTask]:
    """About 90 distinct kernels, in a mixed order as a search would ask for them."""
    families = [
        [
            conv_bias_relu(c, f, s, k, residual=residual)
            for (c, f, s), k, residual in itertools.product(
                [
                    (32, 64, 56),
                    (64, 64, 56),
                    (64, 128, 28),
                    (128, 128, 28),
                    (256, 128, 14),
                    (256, 256, 14),
                    (256, 512, 7),
                    (512, 128, 7),
                ],
                (1, 3),
                (False, True),
            )
        ],
        [
            dense_add(128, units, depth, gelu=gelu)
            for units, depth, gelu in itertools.product((256, 512, 1024, 2048), (256, 512), (False, True))
        ],
        [layer_norm_tail(rows, width) for rows, width in itertools.product((64, 128, 256), (256, 512, 768, 1024))],
        [attention_scores(heads, rows, 64) for heads, rows in itertools.product((4, 8, 12, 16), (64, 128))],
        [split_heads(rows, heads, 64) for rows, heads in itertools.product((64, 128, 256), (4, 8, 12, 16))],
        [pooled(channels, size) for channels, size in itertools.product((64, 128), (112, 56, 28))],
    ]
    return [task for row in itertools.zip_longest(*families) for task in row if task is not None]


def main() -> None:
    """Measure all kernels and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="native")
    parser.add_argument("--workers", type=int, default=MeasureConfig().workers)
    parser.add_argument("--batch-size", type=int, default=MeasureConfig().batch_size)
    arguments = parser.parse_args()
    tasks = kernels()
    config = MeasureConfig(workers=arguments.workers, batch_size=arguments.batch_size)
    with Measurer(target=arguments.target, config=config) as measurer:
        begin = time.perf_counter()
        first = list(measurer.measure(tasks[: config.workers]))
        start_s = time.perf_counter() - begin
        before_build_s, before_run_s = measurer.build_seconds, measurer.run_seconds
        rest = list(measurer.measure(tasks[config.workers :]))
        total_s = time.perf_counter() - begin
        build_s, run_s = measurer.build_seconds - before_build_s, measurer.run_seconds - before_run_s
    results = first + rest
    print(f"{'':28}{'kernels':>8}{'seconds':>9}{'kernels/s':>11}")
    for name, count, part in (
        ("start and first kernels", len(first), start_s),
        ("build", len(rest), build_s),
        ("measure", len(rest), run_s),
        ("build + measure", len(rest), total_s - start_s),
        ("all, with start", len(results), total_s),
    ):
        print(f"{name:28}{count:8}{part:9.1f}{count / part:11.1f}")
    failed = [result for result in results if not result.ok]
    print(f"{len(failed)} kernels failed")
    for result in failed:
        print(f"  {result.key}: {result.error_kind}: {result.error_msg}")


if __name__ == "__main__":
    main()
