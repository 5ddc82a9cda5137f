"""Notebooks as one text: which cells are in it, where their lines are, and what is wrong with the file."""

import ast
import json
import sys

import pytest

from headcheck.findings import Location
from headcheck.source import MAX_BYTES, cells, notebook
from headcheck.source.reading import Source, Unreadable
from tests.notebooks import code, document, lines, markdown
from tests.notebooks import notebook as written


def read(*parts, **metadata) -> Source:
    source = notebook.decode("a.ipynb", written(*parts, **metadata))
    assert isinstance(source, Source)
    ast.parse(source.text)
    return source


def refused(data: bytes) -> tuple[str, int, int]:
    found = notebook.decode("a.ipynb", data)
    assert isinstance(found, Unreadable)
    return found.reason, found.row, found.column


# --- cells -----------------------------------------------------------------------------------------------------------


def test_code_cells_in_order_and_the_way_back():
    source = read(
        markdown("# Title\n\nimport x"), "import a\nimport b", {"cell_type": "raw", "source": "!"}, "", "x = 1\n"
    )
    assert source.text == "import a\nimport b\n\nx = 1\n\n"
    assert source.unread == ()
    assert [(cell.number, cell.first) for cell in source.cells] == [(2, 1), (4, 3), (5, 4)]
    places = [cells.place(source.cells, Location(row, 1)) for row in range(1, 6)]
    assert places == [(2, (1, 1)), (2, (2, 1)), (4, (1, 1)), (5, (1, 1)), (5, (2, 1))]


@pytest.mark.parametrize("text", ["x = 1\ny = 2", ["x = 1\n", "y = 2"], ["x = ", "1\ny", " = 2"], "x = 1\r\ny = 2"])
def test_the_source_of_a_cell_may_be_a_string_or_a_list(text):
    assert read(code(text)).text == "x = 1\ny = 2\n"


def test_nothing_in_it():
    assert read().text == ""
    assert read(markdown("x")).text == ""
    assert read("", "\n\n", "# only a comment").text == "\n\n\n\n# only a comment\n"


def test_format_3_has_worksheets():
    sheet = {
        "cells": [{"cell_type": "code", "input": ["x = 1\n", "y"], "language": "python"}, code("no", language="R")]
    }
    more = {"cells": [{"cell_type": "markdown", "source": "z"}, {"cell_type": "code", "input": "z", "outputs": []}]}
    data = json.dumps({"metadata": {"name": ""}, "nbformat": 3, "worksheets": [sheet, more]}).encode()
    source = notebook.decode("a.ipynb", data)
    assert source.text == "x = 1\ny\nz\n"
    assert [cell.number for cell in source.cells] == [1, 4]


@pytest.mark.parametrize("language", ["R", "julia", "scala"])
def test_another_language_is_no_text(language):
    assert read("x <- 1", kernelspec={"language": language}).text == ""
    assert read("x <- 1", kernelspec={"name": "ir"}, language_info={"name": language}).text == ""


def test_a_cell_in_another_language():
    cell = code("let x = 1", metadata={"vscode": {"languageId": "javascript"}})
    assert read("x = 1", cell, code("y", metadata={"vscode": {"languageId": "python"}})).text == "x = 1\ny\n"


@pytest.mark.parametrize("magic", ["%%bash", "%%writefile a.py", "%%html", "%%javascript", "# shell\n%%sh", "%%R -i x"])
def test_cells_that_are_no_business_of_python_are_empty_lines(magic):
    text = f"{magic}\nx = 1\nmodel.fc"
    assert read(text, "y").text == "\n" * (text.count("\n") + 1) + "y\n"


@pytest.mark.parametrize("magic", ["%%time", "%%timeit -n 1", "%%capture out", "%%prun", "#@title Build\n%%time"])
def test_cells_with_a_magic_that_are_python(magic):
    head = "\n".join("pass" if line.startswith("%%") else line for line in magic.split("\n"))
    assert read(f"{magic}\nx = 1\n!ls").text == f"{head}\nx = 1\npass\n"


def test_databricks_cells_of_text_are_left_out_and_said_nothing_of():
    assert (
        read("%md\n# What is this?\nIt's", "%sql\nSELECT * FROM x", "%python\nx = 1").text == "\n\n\n\n\npass\nx = 1\n"
    )


def test_a_cell_that_cannot_be_read_is_left_out_and_said():
    source = read("x = 1", "\ny = = 1\n", "z = 1")
    assert source.text == "x = 1\ny = get_ipython()(y)\n\n\nz = 1\n"
    assert [(each.row, each.column) for each in source.unread] == [(3, 5)]
    assert source.unread[0].reason == "syntax error: invalid syntax; this cell is not read, the others are"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python reads it from 3.12 on")
def test_a_cell_that_a_newer_python_reads_says_so():
    (unread,) = read("x = 1", "y = f'{'a'}{\"\\n\"}'").unread
    assert unread.valid
    assert "may be fine in a Python that is newer than headcheck's; this cell is not read" in unread.reason


def test_the_names_of_a_cell_that_cannot_be_read():
    source = read("a = b = 1\nfor x in model.parts:\n  def f(y): 'text\n  net.fc, (c) = lambda: nn.Linear(3, 4")
    assert source.text.rstrip("\n") == "a = x = f = get_ipython()(a, b, x, model, f, y, net, c, nn)"


def test_an_unknown_magic_hides_its_cell_in_silence():
    source = read("%%mystery\nmodel = f(model)\nmodel.fc = g")
    assert source.text == "model = get_ipython()(mystery, model, f, g)\n\n\n"
    assert source.unread == ()


def test_a_cell_needs_no_neighbour():
    source = read("x = (1,", "2)", "if x:", "    y = 1", "'''", "'''")
    assert len(source.unread) == 5  # the indented one is Python to IPython
    assert "y = 1" in source.text


def test_await_needs_no_function():
    text = "x = await f()\nasync for a in b:\n    pass\nasync with c as d:\n    pass\ny = [z async for z in a]"
    assert read(text).text == text + "\n"


def test_python_2():
    assert read("print x, y\nz = 1").text == "0,    x, y\nz = 1\n"


def test_what_json_can_hold_and_a_text_cannot():
    source = read("x = '\ud83d'\ny = 1", "x = 1\0", "z = '\u2028\x0c'")
    assert source.text == "x = '?'\ny = 1\nx = get_ipython()(x)\nz = '\u2028\x0c'\n"
    assert len(source.unread) == 1


# --- files -----------------------------------------------------------------------------------------------------------


def test_invalid_json_has_its_place():
    assert refused(b'{"cells": [\n  {"cell_type" "code"}\n]}') == (
        "not a notebook: invalid JSON: Expecting ':' delimiter",
        2,
        16,
    )
    assert refused(b"")[0].startswith("not a notebook: invalid JSON")
    assert refused(b"<<<<<<< HEAD\n{}")[0].startswith("not a notebook: invalid JSON")


def test_other_encodings():
    assert refused('{"cells": "\n\xe9"}'.encode("latin-1")) == ("byte 0xe9 is not valid utf-8", 2, 1)
    assert notebook.decode("a.ipynb", b"\xef\xbb\xbf" + written("x")).text == "x\n"


@pytest.mark.parametrize("data", [b"[]", b"1", b"{}", b'{"cells": 3}', b'{"worksheets": [{"cells": 1}]}', b"null"])
def test_json_that_is_no_notebook(data):
    assert refused(data) == ("not a notebook: it has no list of cells", 1, 1)


@pytest.mark.parametrize(
    "cell",
    [1, None, [], {}, {"cell_type": "code"}, {"cell_type": "code", "source": 3}, {"cell_type": "code", "source": [1]}],
)
def test_cells_that_are_none(cell):
    source = notebook.decode("a.ipynb", json.dumps({**document("x"), "cells": [cell, code("y")]}).encode())
    assert source.text.strip() == "y"


@pytest.mark.parametrize("metadata", [1, None, [], {"kernelspec": 3}, {"kernelspec": {"language": 3}}])
def test_metadata_that_is_none(metadata):
    assert notebook.decode("a.ipynb", json.dumps({**document("x"), "metadata": metadata}).encode()).text == "x\n"


def test_deep_json():
    assert refused(b"[" * 200_000) == ("not a notebook: its JSON is nested too deeply", 1, 1)


def test_pictures_do_not_count():
    picture = {"output_type": "display_data", "data": {"image/png": "iVBOR" + "A" * MAX_BYTES}}
    assert read(code("x = 1", outputs=[picture])).text == "x = 1\n"
    assert refused(written(code("x = 1\n" * (MAX_BYTES // 5))))[0] == "larger than 16 MiB without its pictures"


# --- rows of the file ------------------------------------------------------------------------------------------------


def rows(data: bytes, *wanted: int) -> dict[int, list[int]]:
    source = notebook.decode("a.ipynb", data)
    return cells.file_rows(data, source.cells, set(wanted))


def test_the_row_of_a_line_in_the_file():
    data = written("x = 1", code(lines("x = 1\n\ny = 'é\"\\n'\n")), "")
    text = data.decode().split("\n")
    found = rows(data, 1, 2, 3)
    assert [text[row - 1].strip() for row in found[2]] == ['"x = 1\\n",', '"\\n",', '"y = \'é\\"\\\\n\'\\n"']
    assert [text[row - 1].strip() for row in found[1]] == ['"x = 1"']
    assert found[1][0] < found[2][0]
    assert 3 not in found
    assert rows(data, 2) == {2: found[2]}


def test_what_looks_like_a_cell_elsewhere_is_none():
    said = {"output_type": "stream", "text": ["x = 1\n", "y"], "name": "stdout"}
    data = written(markdown("x = 1\ny"), code(["x = 1\n", "y"], outputs=[said]))
    (found,) = rows(data, 2).values()
    assert data.decode().split("\n")[found[0] - 1 : found[1]] == ['    "x = 1\\n",', '    "y"']
    assert data.decode().split("\n")[found[0] - 2] == '   "source": ['


@pytest.mark.parametrize("how", [{}, {"indent": 1}, {"ensure_ascii": False}])
@pytest.mark.parametrize("source", ["ä = 1\ny", ["ä = 1\n", "y"]])
def test_however_it_is_written(how, source):
    data = json.dumps(document("a", code(source)), **how).encode()
    (found,) = rows(data, 2).values()
    assert "= 1" in data.decode().split("\n")[found[0] - 1]


def test_a_cell_that_is_not_found_has_no_row():
    assert rows(written(code(["x", " = 1"])), 1) == {}
