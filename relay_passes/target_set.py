"""Target sets: the devices of one machine, each with its TVM target, the host CPU first."""

from __future__ import annotations

from dataclasses import dataclass

import tvm

from relay_passes.targets import as_target
from tvm_go.errors import UsageError
from tvm_go.target_text import HOST, target_texts

_CPU_KINDS = ("llvm",)


@dataclass(frozen=True)
class TargetSet:
    """The devices that one build serves.

    Attributes
    ----------
    names : tuple of str
        TVM's names of the devices, such as ``cpu`` and ``opencl``; the host CPU is the first.
    targets : tuple of tvm.target.Target
        Target of each, with the CPU's as the host of the others.
    text : str
        Canonical: under it plans and records are kept. Of a single device just its target.
    """

    names: tuple[str, ...]
    targets: tuple[tvm.target.Target, ...]
    text: str

    @property
    def host(self) -> tvm.target.Target:
        """Target of the first device: under it forms are chosen, and whole models are prepared."""
        return self.targets[0]

    @staticmethod
    def parse(text: str | tvm.target.Target) -> TargetSet:
        """Read ``cpu=TARGET, opencl=TARGET``, or a single target.

        Raises
        ------
        UsageError
            If TVM does not know a target, a device stands there twice, is none of TVM's, is not what its target is for,
            or the CPU is missing, from which the others are driven.
        """
        if isinstance(text, tvm.target.Target):
            return TargetSet((_device_name(text),), (text,), str(text))
        parts = target_texts(text)
        if len(parts) == 1:
            target = as_target(next(iter(parts.values())))
            return TargetSet((_device_name(target),), (target,), str(target))
        found = {name: as_target(part) for name, part in parts.items()}
        for name, target in found.items():
            if _device_name(target) != name:
                raise UsageError(
                    f"target set '{text}': the target '{target}' is for device {_device_name(target)}, not {name}; "
                    f"write {_device_name(target)}={parts[name]}"
                )
        if HOST not in found:
            raise UsageError(
                f"target set '{text}' lacks the CPU that drives the others: add cpu=native or cpu=llvm ..."
            )
        host = found.pop(HOST)
        if host.kind.name not in _CPU_KINDS:
            raise UsageError(f"target set '{text}': the CPU's target must be llvm, not {host.kind.name}")
        names = (HOST, *found)
        texts = [str(host), *map(str, found.values())]
        return TargetSet(
            names,
            (host, *(tvm.target.Target(target, host=host) for target in found.values())),
            ", ".join(f"{name}={part}" for name, part in zip(names, texts, strict=True)),
        )


def _device_name(target: tvm.target.Target) -> str:
    return str(tvm.runtime.Device.MASK2STR[target.get_target_device_type()])
