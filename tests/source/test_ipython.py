"""What IPython's own syntax leaves behind, checked by hand; the places of everything else stay."""

import ast

import pytest

from headcheck.source import ipython

REPLACED = [
    ("%matplotlib inline", "pass"),
    ("%%capture", "pass"),
    ("!pip install torch", "pass"),
    ("!!ls", "pass"),
    ("?model", "pass"),
    ("model?", "pass"),
    ("model.fc??  # what is it", "pass"),
    ("%timeit f(x)", "pass"),
    ("files = !ls *.jpg", "files = get_ipython()"),
    ("a, b = %env HOME", "a, b = get_ipython()"),
    ("self.files = !ls", "self.files = get_ipython()"),
    (",f a b", "pass"),
    (";f a b", "pass"),
    ("/f a", "pass"),
    ("pip install -q torch", "pass"),
    ("cd ..", "pass"),
    ("if colab:\n    cp -r a b", "if colab:\n    pass"),
    ("%run helpers.py", "from helpers import *"),
    ("%run -i ./helpers", "from helpers import *"),
    ("%run ../other/helpers.py", "pass"),
    ("if colab:\n    !pip install x\n    %cd /content", "if colab:\n    pass\n    pass"),
    ("for a in b:\n\t!rm a", "for a in b:\n\tpass"),
    ("!apt install \\\n  a \\\n  b\nx = 1", "pass\n\n\nx = 1"),
    ("!echo '''\nx = 1", "pass\nx = 1"),
    ("x = 1  # it's\n!ls", "x = 1  # it's\npass"),
    ("x = 'it\\'s ['\n!ls", "x = 'it\\'s ['\npass"),
    ("x = (1\n% 2)\n%who", "x = (1\n% 2)\npass"),
    ('x = """\n!ls\n%time\n"""\n!ls', 'x = """\n!ls\n%time\n"""\npass'),
    ("x = f'''a\n!b''' + [\n'''\n!c''']\n!d", "x = f'''a\n!b''' + [\n'''\n!c''']\npass"),
    ("x = 1 + \\\n  2\n!ls", "x = 1 + \\\n  2\npass"),
    ("x = '''a\\'''\n!b'''\n!ls", "x = '''a\\'''\n!b'''\npass"),
]


@pytest.mark.parametrize(("text", "plain"), REPLACED)
def test_a_command_leaves_one_statement_on_its_line(text, plain):
    assert ipython.plain(text) == (plain, {})
    ast.parse(plain)


@pytest.mark.parametrize(
    "text",
    [
        "x = a % b",
        "x %= 2",
        "x = (a\n  % b)",
        "print('a=!b')",
        "x = '''\n%time\n?'''",
        "# what?\nx = 1  # why?",
        "x = y['?']\ny = 'a?'",
        "assert x != 3, 'what?'",
        "print(x,\n      !=)",
        "cd = 1\nenv: str = x\nls += 1\ncat.x = 1\nrm(x)\nls, env = 1, 2\npipes in x",
    ],
)
def test_python_stays_as_it_is(text):
    assert ipython.plain(text) == (text, {})


def test_the_statement_of_time_is_followed():
    assert ipython.plain("%time model.fc = f(\n    512, 10)") == ("model.fc = f(\n    512, 10)", {1: 6})
    assert ipython.plain("if x:\n  %time  y = 1") == ("if x:\n  y = 1", {2: 7})
    assert ipython.plain("%time %who") == ("pass", {1: 6})
    assert ipython.plain("%time") == ("pass", {})


def test_an_indented_cell_is_taken_to_the_left():
    assert ipython.plain("\n    x = 1\n    if x:\n        !ls\n  \n") == (
        "\nx = 1\nif x:\n    pass\n  \n",
        {2: 4, 3: 4, 4: 4},
    )


def test_prompts_are_taken_off():
    assert ipython.plain(">>> if x:\n...     y = 1\n...\n1") == ("if x:\n    y = 1\n\n1", {1: 4, 2: 4, 3: 3})
    assert ipython.plain("In [12]: x = (1,\n    ...: 2)\nIn [13]: %who") == ("x = (1,\n2)\npass", {1: 9, 2: 9, 3: 9})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("%%time\nx", "time"),
        ("\n# first\n%%bash -x\nls", "bash"),
        ("%%!\nls", "!"),
        ("%time x", ""),
        ("x = 1\n%%time", ""),
        ("", ""),
        ("# a", ""),
    ],
)
def test_cell_magic(text, name):
    assert ipython.cell_magic(text) == name


PRINTED = [
    "print 'a', x,",
    "print 'a %s' % x",
    "print x if y else z",
    "if x:\n    print(1)\n    print 'a', \\\n        y",
    "try:\n    f()\nexcept ValueError, e:\n    print e\nexcept (A, B), e:\n    print e",
    "def f(x):\n\n    print x.shape\n    return x",
]


@pytest.mark.parametrize("text", PRINTED)
def test_python_2_is_read(text):
    with pytest.raises(SyntaxError):
        ast.parse(text)
    mended = ipython.python3(text)
    ast.parse(mended)
    assert [len(line) for line in mended.split("\n") if "except" not in line] == [
        len(line) for line in text.split("\n") if "except" not in line
    ]


@pytest.mark.parametrize(
    "text", ["print('a')", "x = '''\nprint x\n'''", "print = f", "print(x, file=f)", "printed = 1"]
)
def test_python_3_stays_as_it_is(text):
    assert ipython.python3(text) == text


def test_text_of_any_size_takes_no_time():
    long = ("(" * 50_000, "'" * 50_000, "\\\n" * 20_000, "%time " * 10_000, "a=" * 50_000, "a." * 50_000 + "?")
    for text in (*long, '"""' + "\\n" * 20_000 + '\n"""'):
        ipython.plain(text)
        ipython.python3(text)
