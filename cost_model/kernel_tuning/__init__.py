"""Kernel tuning inside a budget: spends trials on the kernels of a plan that promise most, through the oracle."""

from cost_model.kernel_tuning.isa import ISAS, isa_of
from cost_model.kernel_tuning.tunable import Progress, TunableKernel, TuningConfig
from cost_model.kernel_tuning.tuner import tune_kernels

__all__ = ["ISAS", "Progress", "TunableKernel", "TuningConfig", "isa_of", "tune_kernels"]
