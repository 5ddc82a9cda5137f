"""Which names can matter to a model, over several files."""

import libcst as cst

from headcheck.interpreter.relevance import Link, analyse_all
from headcheck.ir.index import Index
from headcheck.ir.lower import lower

SCRIPT = "from parts import *\nmodel = build()\nmodel.fc = make(model.fc.in_features)\n"


def names_of(files: dict[str, str]) -> dict[str, frozenset[str]]:
    """The names that matter in each file, where the first takes all that the others have."""
    first, *others = files
    indexes = {key: Index(lower(cst.parse_module(text))) for key, text in files.items()}
    return analyse_all(indexes, {first: {"*": tuple(Link(other, "*") for other in others)}})


def test_a_star_brings_the_names_of_a_file_and_what_they_are_made_of():
    names = names_of({"": SCRIPT, "parts": "other = wide\nbuild = pick(size)\n"})
    assert {"build", "size"} <= names["parts"] and "wide" not in names["parts"]


def test_temporaries_are_those_of_one_file():
    """Each file counts its own from one: what the script does with its first says nothing of another file's first."""
    names = names_of({"": SCRIPT, "parts": "print(count('x'))\nkeep(log('y'))\n"})
    assert [name for name in names["parts"] if name[0] == "%"] == []
    assert [name for name in names[""] if name[0] == "%"] != []
