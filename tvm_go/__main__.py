"""The command `tvm-go`, also as `python -m tvm_go`."""

import sys


def main() -> None:
    """Run a command; Ctrl-C is heard from the first moment on, also in the second that importing TVM takes."""
    try:
        from tvm_go.tvmc.main import main as run
    except KeyboardInterrupt:
        print("tvm-go: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
