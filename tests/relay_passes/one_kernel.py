"""One kernel from its body."""

from __future__ import annotations

from collections.abc import Callable

from tvm import relay

from tests.cost_model.kernels import primitive

Make = Callable[[], relay.Function]


def kernel(body: relay.Expr) -> relay.Function:
    return primitive(relay.analysis.free_vars(body), body)
