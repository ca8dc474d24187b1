"""Boards by name: the TVM target of their CPU, as for `--target rpi4`."""

from __future__ import annotations

from dataclasses import dataclass

_ARM64 = "llvm -mtriple=aarch64-linux-gnu -mattr=+neon"
_ARM32 = "llvm -mtriple=armv7l-linux-gnueabihf -mattr=+neon -mfloat-abi=hard"


@dataclass(frozen=True)
class Board:
    """A board, or a rented machine, and the target of its CPU.

    Attributes
    ----------
    description : str
        What it is, for people.
    target : str
        TVM's target; of cores of two kinds the large ones count, as TVM runs its threads on these.
    """

    description: str
    target: str


BOARDS = {
    "rpi3": Board("Raspberry Pi 3, 64-bit system", f"{_ARM64} -mcpu=cortex-a53 -num-cores=4"),
    "rpi3-32bit": Board("Raspberry Pi 3, 32-bit system", f"{_ARM32} -mcpu=cortex-a53 -num-cores=4"),
    "rpi4": Board("Raspberry Pi 4 and 400, 64-bit system", f"{_ARM64} -mcpu=cortex-a72 -num-cores=4"),
    "rpi4-32bit": Board("Raspberry Pi 4 and 400, 32-bit system", f"{_ARM32} -mcpu=cortex-a72 -num-cores=4"),
    "rpi5": Board("Raspberry Pi 5", f"{_ARM64} -mcpu=cortex-a76 -num-cores=4"),
    "jetson-nano": Board("NVIDIA Jetson Nano and TX1, CPU", f"{_ARM64} -mcpu=cortex-a57 -num-cores=4"),
    "jetson-xavier-nx": Board("NVIDIA Jetson Xavier NX, CPU", f"{_ARM64} -mcpu=carmel -num-cores=6"),
    "jetson-agx-xavier": Board("NVIDIA Jetson AGX Xavier, CPU", f"{_ARM64} -mcpu=carmel -num-cores=8"),
    "jetson-orin-nano": Board("NVIDIA Jetson Orin Nano, CPU", f"{_ARM64} -mcpu=cortex-a78ae -num-cores=6"),
    "jetson-orin-nx": Board("NVIDIA Jetson Orin NX 16 GB, CPU", f"{_ARM64} -mcpu=cortex-a78ae -num-cores=8"),
    "jetson-agx-orin": Board("NVIDIA Jetson AGX Orin 64 GB, CPU", f"{_ARM64} -mcpu=cortex-a78ae -num-cores=12"),
    "rk3399": Board("Rockchip RK3399", f"{_ARM64} -mcpu=cortex-a72 -num-cores=2"),
    "rk3588": Board("Rockchip RK3588 (Rock 5, Orange Pi 5)", f"{_ARM64} -mcpu=cortex-a76 -num-cores=4"),
    "graviton2": Board("AWS Graviton2, 4 cores (an .xlarge)", f"{_ARM64} -mcpu=neoverse-n1 -num-cores=4"),
    "graviton3": Board("AWS Graviton3, 4 cores (an .xlarge)", f"{_ARM64} -mcpu=neoverse-v1 -num-cores=4"),
    "graviton4": Board("AWS Graviton4, 4 cores (an .xlarge)", f"{_ARM64} -mcpu=neoverse-v2 -num-cores=4"),
    # LLVM names the M1's cores by the phone's chip that had them first, and knows no apple-m1 where TVM asks it.
    "apple-m1": Board("Apple M1, Linux", f"{_ARM64} -mcpu=apple-a14 -num-cores=4"),
}


def board_target(text: str) -> str | None:
    """The target of a board's name; options after the name replace those of the board.

    Returns
    -------
    str or None
        None if the first word is no board.

    Examples
    --------
    >>> board_target("rpi4 -num-cores=2")
    'llvm -mtriple=aarch64-linux-gnu -mattr=+neon -mcpu=cortex-a72 -num-cores=2'
    """
    name, *options = text.split()
    board = BOARDS.get(name)
    if board is None:
        return None
    changed = {option.partition("=")[0] for option in options}
    kept = [option for option in board.target.split() if option.partition("=")[0] not in changed]
    return " ".join([*kept, *options])
