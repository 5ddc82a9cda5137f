"""Which findings a comment spares."""

import pytest

from headcheck.findings import Finding, Location
from headcheck.source.suppressions import apply


def finding(code="HC101", row=1, end=None):
    return Finding("a.py", code, "name", "error", "…", Location(row, 1), Location(end or row, 5))


def codes_left(text, *findings):
    return [each.code for each in apply(findings or (finding(),), text)]


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "#noqa",
        "# NOQA",
        "# noqa: HC101",
        "# noqa:HC101",
        "# noqa : hc101",
        "# noqa: F401, HC101",
        "# noqa: F401 HC101",
        "# noqa: HC101 because it is right",
        "# type: ignore  # noqa: HC101",
        "# noqa - all of it",
        "# headcheck: ignore",
        "# headcheck:ignore",
        "# headcheck: ignore[HC101]",
        "# headcheck: ignore[HC201, HC101] both are wanted",
        "# headcheck: ignore-file",
    ],
)
def test_suppressed(comment):
    assert codes_left(f"model.fc = head  {comment}\n") == []


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: HC201",
        "# noqa: HC10",
        "# noqa: because",
        "# noqanda",
        "# headcheck: ignore[HC201]",
        "# headcheck: ignore[]",
        "# headcheck: ignored",
        "# headcheck: ignore-files",
        "# headcheck",
        "# flake8: noqa",
        "# ruff: noqa: HC101",
    ],
)
def test_not_suppressed(comment):
    assert codes_left(f"model.fc = head  {comment}\n") == ["HC101"]


def test_a_string_is_no_comment():
    assert codes_left('"""\n# noqa\n"""\nx = "# noqa"\n', finding(row=2), finding(row=4)) == ["HC101", "HC101"]
    assert codes_left('x = """# headcheck: ignore-file"""\n') == ["HC101"]


def test_first_and_last_line_and_the_end_of_the_statement():
    text = "m.fc = L(  # noqa: HC101\n    512,\n    10,  # noqa: HC102\n)  # noqa: HC103\n"
    assert codes_left(text, finding("HC101", 1, 4), finding("HC101", 2), finding("HC101", 1)) == ["HC101"]
    assert codes_left(text, finding("HC102", 3), finding("HC102", 1, 3), finding("HC102", 1, 4)) == ["HC102"]
    assert codes_left(text, finding("HC103", 1, 4), finding("HC103", 2)) == []


def test_the_end_of_another_statement_does_not_count():
    text = "if a:\n    b = 1\n    c = 2  # noqa\n"
    assert codes_left(text, finding(row=1), finding(row=2), finding(row=3)) == ["HC101", "HC101"]


def test_comments_above_a_syntax_error_count():
    text = "# headcheck: ignore-file\nx = (\n"
    assert codes_left(text, finding("HC901", 2)) == []
    assert codes_left("x = = 1  # noqa\n  y = '''\n", finding("HC901", 1)) == []


def test_form_feeds_and_odd_line_ends_do_not_move_rows():
    text = "a = 1\n\fb = '\x1c\u2028'\nc = 1  # noqa\n"
    assert codes_left(text, finding(row=2), finding("HC102", 3)) == ["HC101"]


def test_a_text_without_markers_is_not_tokenized(monkeypatch):
    import tokenize

    monkeypatch.setattr(tokenize, "generate_tokens", None)
    assert codes_left("x = 1\n") == ["HC101"]
