"""The rule book: reads `rules/*.md`, the single source of what each rule promises.

One Markdown file per rule, named after its code (`HC101-wrong-in-features.md`), so a code is found by listing the
folder and only the files asked for are read. A file starts with `key: value` front matter between two `---` lines:

- `code`, `name`: as in the file's name;
- `severity`: `error`, `warning` or `info`;
- `default`: `on` or `off`;
- `fix`: `none`, `safe` (keeps what the script means) or `unsafe`;
- `since`: the version of headcheck that brought the rule;
- `holds`: `some-path` (one path the script can take is enough) or `every-path` (something is missing on all of them);
- `proof`: how PyTorch shows the fault, one for all examples or one for each, separated by `;` (`tests/torch_proof.py`
  has the vocabulary).

Then come the sections *What it does* and *Why it matters*, and one or more pairs of *Wrong* and *Right*, each with one
python block. In a wrong block every line that must be reported ends in its code (`# HC101`). A text block in a wrong
section is what Python or PyTorch prints when the block is run.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final, Literal, cast

from headcheck.findings import Severity
from headcheck.records import NamedTuple

URL: Final = "https://github.com/headcheck/headcheck/blob/main/rules/"
TABLE_BEGIN: Final = "<!-- rules:begin -->"
TABLE_END: Final = "<!-- rules:end -->"

#: The codes of the rules that are off by default, so that these need not be read to know.
OFF: Final = frozenset({"HC305", "HC306", "HC902"})

_ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "severity": ("error", "warning", "info"),
    "default": ("on", "off"),
    "fix": ("none", "safe", "unsafe"),
    "holds": ("some-path", "every-path"),
}
_KEYS: Final = ("code", "name", "severity", "default", "fix", "since", "holds", "proof")
_SECTIONS: Final = ("What it does", "Why it matters")
_FIX_WORDS: Final = {"none": "no fix", "safe": "safe fix", "unsafe": "unsafe fix"}


class Example(NamedTuple):
    """One pair of a rule's page: code with the fault, and the same code mended.

    `expected` holds the row (from 1) and the code of every finding in `wrong`; `proof` says how PyTorch shows the
    fault; `says` is what is printed when `wrong` is run ("" where nothing is).
    """

    wrong: str
    right: str
    expected: tuple[tuple[int, str], ...]
    proof: str
    says: str


class Rule(NamedTuple):
    """One page of the rule book. `summary` is the first sentence of *What it does*; `text` is the page's Markdown."""

    code: str
    name: str
    severity: Severity
    default: Literal["on", "off"]
    fix: Literal["none", "safe", "unsafe"]
    since: str
    holds: Literal["some-path", "every-path"]
    proof: str
    summary: str
    text: str
    url: str
    examples: tuple[Example, ...]

    @property
    def wrong(self) -> str:
        """The first wrong block, with its markers."""
        return self.examples[0].wrong

    @property
    def right(self) -> str:
        """The first right block."""
        return self.examples[0].right

    @property
    def expected(self) -> tuple[tuple[int, str], ...]:
        """Row and code of the findings in the first wrong block."""
        return self.examples[0].expected


def codes() -> tuple[str, ...]:
    """Every code of the rule book, in order. Lists the folder and reads no file."""
    return tuple(_files())


@cache
def rule(code: str) -> Rule:
    """The page of `code` (`"HC101"`).

    Raises KeyError, with the nearest codes, if there is no such rule, and ValueError if its file breaks the format.
    """
    files = _files()
    if code not in files:
        from difflib import get_close_matches  # an import only a mistyped code pays for

        nearest = ", ".join(get_close_matches(code.upper(), files, n=3, cutoff=0.5))
        raise KeyError(f"no rule {code}" + (f"; the nearest: {nearest}" if nearest else ""))
    with open(os.path.join(_folder(), files[code]), encoding="utf-8") as page:
        return _parse(page.read(), files[code])


def render(code: str) -> str:
    """The page of `code` as plain text for a terminal. Raises as `rule` does."""
    found = rule(code)
    about = f"{found.severity}, {found.default} by default, {_FIX_WORDS[found.fix]}, since {found.since}"
    title = f"{found.code} {found.name}"
    return f"{title}\n{'=' * len(title)}\n{about}\n{found.url}\n\n{_plain(found.text)}\n"


def listing() -> str:
    """Every rule on one line, in columns: code, name, severity, default, what it does."""
    rules = [rule(code) for code in codes()]
    rows = [(each.code, each.name, each.severity, each.default, _unticked(each.summary)) for each in rules]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines = ("  ".join((*map(str.ljust, row, widths), row[-1])) for row in rows)
    return "\n".join(lines) + "\n"


def table() -> str:
    """The Markdown table of all rules that stands in the README between `TABLE_BEGIN` and `TABLE_END`."""
    lines = ["| code | name | severity | what it finds |", "|---|---|---|---|"]
    for found in map(rule, codes()):
        name = found.name if found.default == "on" else f"{found.name} (off by default)"
        summary = found.summary.replace("|", "\\|")
        lines.append(f"| [{found.code}]({found.url}) | {name} | {found.severity} | {summary} |")
    return "\n".join(lines) + "\n"


def front_matter(text: str) -> tuple[dict[str, str], str]:
    """Split a page into its `key: value` front matter and the rest. Raises ValueError where a line is neither."""
    lines = text.splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        raise ValueError("front matter between two '---' lines is missing")
    end = lines.index("---", 1)
    return key_values(lines[1:end]), "\n".join(lines[end + 1 :]).strip()


def key_values(lines: list[str]) -> dict[str, str]:
    """`key: value` lines as a dict; empty lines are skipped. Raises ValueError on any other line and on a key twice."""
    values: dict[str, str] = {}
    for line in filter(str.strip, lines):
        key, colon, value = line.partition(":")
        if not colon or key.strip() in values:
            raise ValueError(f"not a new 'key: value' line: {line!r}")
        values[key.strip()] = value.strip()
    return values


def marked(block: str) -> tuple[tuple[int, str], ...]:
    """Row (from 1) and code of each finding that a block's markers promise: `# HC101`, or `# HC101, HC301` for two."""
    found: list[tuple[int, str]] = []
    for row, line in enumerate(block.splitlines(), start=1):
        marks = line.rpartition("#")[2].replace(",", " ").split()
        if "#" in line and marks and all(_is_code(mark) for mark in marks):
            found += [(row, mark) for mark in marks]
    return tuple(found)


def _is_code(word: str) -> bool:
    return len(word) == 5 and word.startswith("HC") and word[2:].isdigit()


@cache
def _folder() -> str:
    # The wheel carries the pages inside the package; a checkout has them beside it.
    package = os.path.dirname(os.path.abspath(__file__))
    shipped = os.path.join(package, "rules")
    return shipped if os.path.isdir(shipped) else os.path.join(os.path.dirname(package), "rules")


@cache
def _files() -> dict[str, str]:
    names = sorted(os.listdir(_folder()))
    return {name[:5]: name for name in names if name.endswith(".md") and _is_code(name[:5]) and name[5:6] == "-"}


def _parse(text: str, filename: str) -> Rule:
    try:
        values, body = front_matter(text)
        _require(values, filename)
        sections = _sections(body)
        first = [title for title, _ in sections[:2]]
        if first != list(_SECTIONS):
            raise ValueError(f"the first two sections must be {' and '.join(_SECTIONS)}, not {first}")
        examples = _examples(sections[2:], [proof.strip() for proof in values["proof"].split(";")])
    except ValueError as error:
        raise ValueError(f"{filename}: {error}") from error
    return Rule(
        code=values["code"],
        name=values["name"],
        severity=cast(Severity, values["severity"]),
        default=cast('Literal["on", "off"]', values["default"]),
        fix=cast('Literal["none", "safe", "unsafe"]', values["fix"]),
        since=values["since"],
        holds=cast('Literal["some-path", "every-path"]', values["holds"]),
        proof=values["proof"],
        summary=_first_sentence(sections[0][1]),
        text=body,
        url=URL + filename,
        examples=examples,
    )


def _require(values: dict[str, str], filename: str) -> None:
    if tuple(values) != _KEYS:
        raise ValueError(f"the front matter must hold {', '.join(_KEYS)}, in this order")
    for key, allowed in _ALLOWED.items():
        if values[key] not in allowed:
            raise ValueError(f"{key} must be one of {', '.join(allowed)}, not {values[key]!r}")
    if filename != f"{values['code']}-{values['name']}.md":
        raise ValueError("the file must be named after its code and name")


def _sections(body: str) -> list[tuple[str, str]]:
    """Title and text of each `## ` section. A `## ` inside a code block would be a comment, never a title."""
    sections: list[tuple[str, list[str]]] = []
    fenced = False
    for line in body.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            sections.append((line[3:].strip(), []))
        elif sections:
            sections[-1][1].append(line)
        elif line.strip():
            raise ValueError(f"text before the first section: {line!r}")
    return [(title, "\n".join(lines).strip()) for title, lines in sections]


def _examples(sections: list[tuple[str, str]], proofs: list[str]) -> tuple[Example, ...]:
    kinds = [title.partition(":")[0] for title, _ in sections]
    if not kinds or kinds != ["Wrong", "Right"] * (len(kinds) // 2):
        raise ValueError(f"sections must be pairs of Wrong and Right, not {kinds}")
    texts = [text for _, text in sections]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    if len(proofs) == 1:
        proofs = proofs * len(pairs)
    if len(proofs) != len(pairs):
        raise ValueError(f"{len(pairs)} wrong blocks but {len(proofs)} proofs")
    return tuple(_example(wrong, right, proof) for (wrong, right), proof in zip(pairs, proofs, strict=True))


def _example(wrong: str, right: str, proof: str) -> Example:
    block = _block(wrong, "python")
    says = _block(wrong, "text").strip() if "```text" in wrong else ""
    return Example(wrong=block, right=_block(right, "python"), expected=marked(block), proof=proof, says=says)


def _block(section: str, language: str) -> str:
    """The one fenced block of `language` in a section."""
    blocks = section.split(f"```{language}\n")[1:]
    if len(blocks) != 1 or "\n```" not in blocks[0]:
        raise ValueError(f"a section needs exactly one {language} block, not {len(blocks)}")
    return blocks[0].partition("\n```")[0] + "\n"


def _first_sentence(text: str) -> str:
    # A full stop inside `model.fc` is followed by a letter; one that ends a sentence is not.
    words = " ".join(text.split())
    sentence, stop, _ = words.partition(". ")
    return sentence + "." if stop else words


def _plain(text: str) -> str:
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            lines.append(f"    {line}".rstrip())
        elif line.startswith("## "):
            lines += [line[3:], "-" * len(line[3:])]
        else:
            lines.append(line)
    return "\n".join(lines)


def _unticked(text: str) -> str:
    return text.replace("`", "")


if __name__ == "__main__":
    print(table(), end="")
