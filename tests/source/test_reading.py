"""Bytes become the text that Python itself would read, and come back unharmed."""

import ast
import os
import sys

import pytest

from headcheck.findings import Edit
from headcheck.source import MAX_BYTES, Source, Unreadable, decode, load, read, rewrite
from headcheck.source.reading import USUAL_BYTES, glance


@pytest.mark.parametrize(
    "data, text, encoding",
    [
        (b"x = 1\n", "x = 1\n", "utf-8"),
        (b"", "", "utf-8"),
        ("x = 'é'\n".encode(), "x = 'é'\n", "utf-8"),
        ("# coding: latin-1\nx = 'é'\n".encode("latin-1"), "# coding: latin-1\nx = 'é'\n", "iso8859-1"),
        ("#!/usr/bin/python\n# -*- coding: cp1252 -*-\n'€'".encode("cp1252"), None, "cp1252"),
        ("\f# vim: set fileencoding=euc-jp :\n'日本'".encode("euc-jp"), None, "euc_jp"),
        ("# coding: latin-1 é\n".encode("latin-1"), "# coding: latin-1 é\n", "iso8859-1"),
        ("# -*- coding: UTF_8-unix -*-\n'é'".encode(), None, "utf-8"),
        ("# -*- coding: iso-latin-1-unix -*-\n'é'".encode("latin-1"), None, "iso8859-1"),
        # A cookie counts only on the first line, or on the second below a comment or nothing.
        ("x = 1\n# coding: latin-1\n'é'".encode(), "x = 1\n# coding: latin-1\n'é'", "utf-8"),
        ("\n\n# coding: latin-1\n'é'".encode(), "\n\n# coding: latin-1\n'é'", "utf-8"),
        ("coding = 'latin-1'\n'é'".encode(), None, "utf-8"),
    ],
)
def test_encoding(data, text, encoding):
    source = decode("a.py", data)
    assert isinstance(source, Source)
    assert source.encoding == encoding
    assert text is None or source.text == text
    assert ast.dump(ast.parse(source.text)) == ast.dump(ast.parse(data))
    assert rewrite(source, ()) == data


def test_byte_order_mark_is_no_part_of_the_text():
    source = decode("a.py", b"\xef\xbb\xbfx = 1\r\n")
    assert source == Source("a.py", "x = 1\n", "utf-8", True, "\r\n")
    assert rewrite(source, ()) == b"\xef\xbb\xbfx = 1\r\n"


@pytest.mark.parametrize(
    "data, reason, row, column",
    [
        (b"x = 1\ny = '\0'\n", "NUL", 2, 6),
        ("x = 1".encode("utf-16"), "NUL", 1, 4),
        (b"\x7fELF\x02\x01\x00", "NUL", 1, 7),
        (b"x = 1\r\ny = 'a\xe9'\r\n", "byte 0xe9 is not valid utf-8", 2, 7),
        ("# é\r'".encode() + b"\xff", "byte 0xff is not valid utf-8", 2, 2),
        (b"# coding: klingon\n", "unknown encoding 'klingon'", 1, 1),
        (b"#!python\n# coding: rot13\n", "unknown encoding 'rot13'", 2, 1),
        (b"# coding: punycode\n" + b"-" * 1000, "unknown encoding 'punycode'", 1, 1),
        (b"# coding: aliases\n", "unknown encoding 'aliases'", 1, 1),
        (b"\xef\xbb\xbf# coding: latin-1\n", "byte-order mark", 1, 1),
    ],
)
def test_what_is_not_python_source_says_so_and_where(data, reason, row, column):
    said = decode("a.py", data)
    assert isinstance(said, Unreadable)
    assert reason in said.reason
    assert (said.row, said.column) == (row, column)


@pytest.mark.parametrize("data", [b"a\nb", b"a\r\nb\r\n", b"a\rb\r", b"a\r\nb\nc\rd\r\n", b"\r\n\r\n\n", b"\n\r", b""])
def test_line_ends_are_kept_where_nothing_is_edited(data):
    source = decode("a.py", data)
    assert "\r" not in source.text
    assert rewrite(source, ()) == data


def test_an_edit_takes_the_commonest_line_end_of_the_file():
    source = decode("a.py", b"a\r\nb\nc\r\nd\r\n")
    assert source.text == "a\nb\nc\nd\n"
    edits = [Edit(4, 5, "C"), Edit(2, 3, "x\ny\n")]
    assert rewrite(source, edits) == b"a\r\nx\r\ny\r\n\nC\r\nd\r\n"
    assert rewrite(source, [Edit(1, 4, "")]) == b"ac\r\nd\r\n"


def test_an_edit_that_the_encoding_lacks_is_an_error():
    source = decode("a.py", b"# coding: latin-1\n")
    with pytest.raises(UnicodeEncodeError):
        rewrite(source, [Edit(0, 0, "→")])


def test_files_that_cannot_be_opened(tmp_path):
    assert "cannot be opened" in read(str(tmp_path / "none.py")).reason
    assert "cannot be opened" in read(str(tmp_path)).reason
    assert "cannot be opened" in read("a\0.py").reason


@pytest.mark.skipif(sys.platform == "win32" or getattr(os, "geteuid", lambda: 1)() == 0, reason="root reads everything")
def test_permission_denied(tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_text("x = 1")
    secret.chmod(0)
    assert "Permission denied" in read(str(secret)).reason


def test_a_huge_file_is_not_read(tmp_path):
    huge = tmp_path / "huge.py"
    with open(huge, "wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "larger than" in load(str(huge)).reason


@pytest.mark.parametrize("size", [0, 1, USUAL_BYTES - 1, USUAL_BYTES, USUAL_BYTES + 1, 3 * USUAL_BYTES])
def test_a_glance_gives_all_of_a_file(tmp_path, size):
    data = (b"\r\n\x1a" + bytes(range(256)) * (size // 256 + 1))[:size]
    path = tmp_path / "m.py"
    path.write_bytes(data)
    assert glance(str(path), 3 * USUAL_BYTES) == data
    assert glance(str(path), 3 * USUAL_BYTES - 1) == (data if size < 3 * USUAL_BYTES else b"")


def test_a_glance_at_what_cannot_be_read(tmp_path):
    assert [glance(name, 9) for name in (str(tmp_path), str(tmp_path / "none.py"), "a\0b")] == [b"", b"", b""]
