"""Compare headcheck with PyTorch on as many scripts as asked for, and print where they do not agree."""

from __future__ import annotations

import argparse
import collections
import sys

from tests.surgeries.agreement import compare
from tests.surgeries.judge import judge
from tests.surgeries.sites import builders
from tests.surgeries.write import write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.surgeries", description=__doc__)
    parser.add_argument("builders", nargs="*", help="such as resnet18 or segmentation.fcn_resnet50")
    parser.add_argument("--all", action="store_true", help="all builders")
    parser.add_argument("--each", type=int, default=4, help="scripts on each builder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, metavar="NUMBER", help="print this one script, and what is said of it")
    options = parser.parse_args()
    names = builders() if options.all else options.builders
    if not names:
        parser.error("name builders, or ask for --all")
    if options.show is not None:
        script = write(names[0], options.show, options.seed)
        print(script.name, script.text, judge(script), compare(script), sep="\n")
        return 0
    kinds: collections.Counter[str] = collections.Counter()
    for name in names:
        for number in range(options.each):
            disagreement = compare(write(name, number, options.seed))
            kind = "agree" if disagreement is None else "known" if disagreement.known else disagreement.kind
            kinds[kind] += 1
            if disagreement is not None and not disagreement.known:
                print(disagreement, flush=True)
    print(f"{kinds.total()} scripts:", ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    return int(bool(kinds.keys() - {"agree", "known"}))


if __name__ == "__main__":
    sys.exit(main())
