"""What a plan decided, as a table and as a page: `python examples/look_at_plan.py PLAN.json [LOG.jsonl]`."""

import sys
from pathlib import Path

import tvm_go


def main() -> None:
    """Print the longest kernels, how much each lowering takes, and what failed on the way."""
    plan = tvm_go.GraphPlan.load(sys.argv[1])
    kernels = plan.to_pandas()
    print(kernels.nlargest(10, "ms")[["ops", "lowering", "ms", "share"]].to_string())
    print(kernels.groupby("lowering").agg(kernels=("ms", "size"), ms=("ms", "sum")).to_string())
    if len(sys.argv) > 2:
        measured = tvm_go.TuningLog(sys.argv[2]).to_pandas()
        print(measured.error_kind.value_counts().to_string() or "nothing failed")
    page = Path(sys.argv[1]).with_suffix(".html")
    page.write_text(plan.to_html(), encoding="utf-8")
    print(f"{page}: open it in a browser")


if __name__ == "__main__":
    main()
