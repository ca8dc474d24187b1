"""What a kernel costs: measuring over TVM RPC (`cost_model.measure`), and the data that it takes and gives.

Importing this package does not import TVM; `cost_model.measure` and `cost_model.rpc` do.
"""

from cost_model.config import MeasureConfig, RpcConfig
from cost_model.kernel_result import ErrorKind, KernelResult
from cost_model.kernel_task import KernelTask

__all__ = ["ErrorKind", "KernelResult", "KernelTask", "MeasureConfig", "RpcConfig"]
