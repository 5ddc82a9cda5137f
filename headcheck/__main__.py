"""The process: `headcheck` and `python -m headcheck`."""

import gc
import sys

from headcheck.cli import main


def entry() -> int:
    """Run headcheck as a process of its own, without looking for garbage all the time.

    Reading makes many objects and hardly a cycle, so the collector costs a tenth of a short run and finds nothing; the
    pipeline collects now and then. Nor need the interpreter look through what lives to its end.
    """
    gc.disable()
    status = main()
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(entry())
