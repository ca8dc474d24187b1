"""Task `variant`: equivalent forms of single ops, chosen before TVM picks layouts."""

from relay_passes.variants.origins import origins
from relay_passes.variants.regions import Unit, cut_out, units
from relay_passes.variants.registry import options, plain, suggested
from relay_passes.variants.variant import DEFAULT

__all__ = ["DEFAULT", "Unit", "cut_out", "options", "origins", "plain", "suggested", "units"]
