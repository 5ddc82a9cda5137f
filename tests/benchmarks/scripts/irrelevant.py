"""Count words: a script that cannot matter to headcheck."""

import argparse
import collections
from pathlib import Path


def count(path):
    words = collections.Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        words.update(line.lower().split())
    return words


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--top", type=int, default=10)
    args = parser.parse_args()
    total = collections.Counter()
    for path in args.files:
        total += count(path)
    for word, times in total.most_common(args.top):
        print(f"{times:6d} {word}")


if __name__ == "__main__":
    main()
