"""A pointwise physics function: one step of a column of sea water, about 130 elementwise and broadcast operators.

Density by the international equation of state of sea water (EOS-80; Fofonoff and Millard, UNESCO technical papers in
marine science 44, 1983), speed of sound by Mackenzie (J. Acoust. Soc. Am. 70, 1981), gravity by latitude, and a
vertical velocity under buoyancy and quadratic drag.
"""

import torch
from torch import Tensor

LEVELS, ROWS, COLUMNS = 32, 96, 128
SHAPES = {
    "temperature": (LEVELS, ROWS, COLUMNS),
    "salinity": (LEVELS, ROWS, COLUMNS),
    "velocity": (LEVELS, ROWS, COLUMNS),
    "pressure": (LEVELS, 1, 1),
    "latitude": (ROWS, 1),
}


def polynomial(x: Tensor, *coefficients: float) -> Tensor:
    """Evaluate a polynomial by Horner's rule, lowest power first."""
    *rest, last = coefficients
    value = x * last + rest.pop()
    while rest:
        value = value * x + rest.pop()
    return value


def density(t: Tensor, s: Tensor, p: Tensor) -> Tensor:
    """Return the density in kg/m3 at temperature `t` (degrees Celsius), practical salinity `s`, pressure `p` (bar)."""
    s_root3 = s * torch.sqrt(s)
    water = polynomial(t, 999.842594, 6.793952e-2, -9.095290e-3, 1.001685e-4, -1.120083e-6, 6.536332e-9)
    linear = polynomial(t, 8.24493e-1, -4.0899e-3, 7.6438e-5, -8.2467e-7, 5.3875e-9)
    root3 = polynomial(t, -5.72466e-3, 1.0227e-4, -1.6546e-6)
    surface = water + linear * s + root3 * s_root3 + 4.8314e-4 * (s * s)
    bulk = polynomial(t, 19652.21, 148.4206, -2.327105, 1.360477e-2, -5.155288e-5)
    bulk = bulk + polynomial(t, 54.6746, -0.603459, 1.09987e-2, -6.1670e-5) * s
    bulk = bulk + polynomial(t, 7.944e-2, 1.6483e-2, -5.3009e-4) * s_root3
    first = polynomial(t, 3.239908, 1.43713e-3, 1.16092e-4, -5.77905e-7)
    first = first + polynomial(t, 2.2838e-3, -1.0981e-5, -1.6078e-6) * s + 1.91075e-4 * s_root3
    second = polynomial(t, 8.50935e-5, -6.12293e-6, 5.2787e-8)
    second = second + polynomial(t, -9.9348e-7, 2.0816e-8, 9.1697e-10) * s
    bulk = bulk + first * p + second * (p * p)
    return surface / (1 - p / bulk)


def sound_speed(t: Tensor, s: Tensor, depth: Tensor) -> Tensor:
    """Return the speed of sound in m/s at temperature `t` (degrees Celsius), salinity `s`, `depth` (m)."""
    speed = polynomial(t, 1448.96, 4.591, -5.304e-2, 2.374e-4) + polynomial(depth, 0.0, 1.630e-2, 1.675e-7)
    excess = s - 35.0
    return speed + 1.340 * excess - 1.025e-2 * (t * excess) - t * (7.139e-13 * (depth * depth * depth))


class SeaWater(torch.nn.Module):
    """The step; inputs are standard normal, as the zoo draws them, and are brought to the sea's ranges first."""

    def forward(
        self, temperature: Tensor, salinity: Tensor, velocity: Tensor, pressure: Tensor, latitude: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return density - 1000 kg/m3, speed of sound - 1500 m/s, and the new velocity in m/s."""
        t, s, p = temperature * 5.0 + 12.0, salinity * 1.5 + 35.0, pressure * 40.0 + 200.0
        rho = density(t, s, p)
        speed = sound_speed(t, s, p * 10.0)
        sine2 = torch.square(torch.sin(latitude * 0.5))
        gravity = polynomial(sine2, 9.780318, 5.16293e-2, 2.30815e-4)
        buoyancy = gravity * (1035.0 - rho) / 1035.0
        moved = (velocity + buoyancy * 10.0) / (torch.abs(velocity) * 0.5 + 1.0)
        return rho - 1000.0, speed - 1500.0, moved
