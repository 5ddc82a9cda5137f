"""Change the clean scripts, and print which faults are found, which are missed, and every false alarm."""

from __future__ import annotations

import argparse
import collections
import random
import sys

from tests.mutants.clean import scripts
from tests.mutants.recall import Answer, all_mutants, answer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("scripts", nargs="*", help="names of clean scripts, such as plain_vgg16; all if none")
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample")
    parser.add_argument("--kind", action="append", help="only changes of this kind")
    parser.add_argument("--sample", type=int, default=100, help="how many, without --all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, metavar="NUMBER", help="print this one whole")
    options = parser.parse_args()
    chosen = [s for s in scripts() if not options.scripts or s.name in options.scripts]
    mutants = [m for s in chosen for m in all_mutants(s, options.seed) if not options.kind or m.kind in options.kind]
    if options.show is not None:
        print(mutants[options.show].text, answer(mutants[options.show]), sep="\n")
        return 0
    if not options.all and len(mutants) > options.sample:
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    answers = []
    for mutant in mutants:
        answers.append(answer(mutant))
        if answers[-1].disagrees:
            print(answers[-1], flush=True)
    report(answers)
    return int(any(a.kind == "false alarm" for a in answers))


COLUMNS = ("found", "miss", "false alarm", "right", "open", "left out")


def report(answers: list[Answer]) -> None:
    """Two tables: by clean script, and by kind of change."""
    table([(one.mutant.script, one) for one in answers])
    table([(one.mutant.kind, one) for one in answers])
    flagged = sum(one.verdict.word == "open" and bool(one.found) for one in answers)
    print(f"open and flagged: {flagged}")


def table(answers: list[tuple[str, Answer]]) -> None:
    rows: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, one in answers:
        rows[name][one.kind] += 1
        rows["all"][one.kind] += 1
    width = max(map(len, rows), default=3)
    print(f"\n{'':{width}}" + "".join(f"{column:>12}" for column in COLUMNS) + f"{'recall':>10}")
    for name, counts in sorted(rows.items(), key=lambda pair: (pair[0] == "all", pair[0])):
        wrong = counts["found"] + counts["miss"]
        recall = f"{100 * counts['found'] / wrong:.1f} %" if wrong else "-"
        print(f"{name:{width}}" + "".join(f"{counts[column]:12}" for column in COLUMNS) + f"{recall:>10}")


if __name__ == "__main__":
    sys.exit(main())
