"""The project's own modules: an import runs the module's body once on a path, in variables of its own."""

from __future__ import annotations

import textwrap

import libcst as cst
import pytest

from headcheck.catalog.known import Builders
from headcheck.interpreter import relevance
from headcheck.interpreter.modules import ROOT, Found, Source
from headcheck.ir import UNKNOWN
from headcheck.ir.lower import lower
from tests.reading import UNKNOWN_VALUE, follow, plain, raw


class Project:
    """A project of texts: ``{"config": "N = 3"}``. A name that ends in a dot is a package."""

    builders = Builders({}, ())

    def __init__(self, texts: dict[str, str]) -> None:
        self.sources = {}
        for name, text in texts.items():
            dotted = name.rstrip(".")
            block = lower(cst.parse_module(textwrap.dedent(text)))
            self.sources[dotted] = Source(dotted, dotted, block, f"{dotted}.py")
        self.packages = {name.rstrip(".") for name in texts if name.endswith(".")}

    def whole_name(self, module: str, level: int, importer: str) -> str:
        if not level:
            return module
        parts = importer.split(".") if importer != "__main__" else [importer]
        above = level - (importer in self.packages)
        return ".".join([*parts[: len(parts) - above], *([module] if module else [])])

    def is_local(self, module: str, level: int, importer: str) -> bool:
        return level > 0 or module.split(".")[0] in self.sources

    def find(self, module: str, level: int, importer: str) -> Found | None:
        names = self.whole_name(module, level, importer).split(".")
        dotted = [".".join(names[: count + 1]) for count in range(len(names))]
        sources = [self.sources[name] for name in dotted if name in self.sources]
        return Found(tuple(sources), len(sources) == len(dotted)) if sources else None

    def data(self, name):
        return UNKNOWN

    def relevant(self, index):
        return {ROOT: relevance.analyse(index)}


def executions(script: str, **texts: str):
    project = Project({name.replace("__", "."): text for name, text in texts.items()})
    return [e for e in follow(script, preamble="", local=project) if not e.doubtful and not e.defaults]


def value(script: str, name: str = "x", **texts: str):
    (execution,) = executions(script, **texts)
    return plain(execution, raw(execution, name))


@pytest.mark.parametrize(
    "script",
    [
        "from config import N\nx = N",
        "import config\nx = config.N",
        "import config as cfg\nx = cfg.N",
        "from config import *\nx = N",
        "import config\nx = getattr(config, 'N')",
        "import config\nx = config.__dict__['N']",
        "def f():\n    from config import N\n    return N\nx = f()",
        "from config import number\nx = number()",
        "from config import Settings\nx = Settings().n",
        "from config import Settings\nclass Mine(Settings):\n    pass\nx = Mine().n",
        "import config\nconfig.N = 4\nx = config.N - 1",
        "import config\nconfig.N = 3\nx = config.number()",
    ],
)
def test_every_form_of_import_finds_the_value(script):
    config = "N = 3\ndef number():\n    return N\nclass Settings:\n    def __init__(self):\n        self.n = number()\n"
    assert value(script, config=config) == 3


def test_modules_have_variables_of_their_own():
    script = "N = 1\nimport config\nx = (N, config.N, config.number())"
    assert value(script, config="N = 2\ndef number():\n    global N\n    N = N + 1\n    return N") == (1, 2, 3)


def test_a_body_runs_once_and_is_not_the_main_program():
    config = "runs = []\ndef run():\n    runs.append(__name__)\nrun()\nif __name__ == '__main__':\n    run()\n"
    assert value("import config\nimport config as c\nfrom config import runs\nx = runs", config=config) == ["config"]


def test_packages():
    texts = {
        "pkg__": "from .models import build\nfrom . import models as zoo\n",
        "pkg__models": "from .deep.sizes import SIZE\nfrom config import N\ndef build():\n    return (SIZE, N)\n",
        "pkg__deep__": "",
        "pkg__deep__sizes": "SIZE = 5\n",
        "config": "N = 3\n",
    }
    for script in (
        "from pkg import build\nx = build()",
        "import pkg\nx = pkg.build()",
        "import pkg.models\nx = pkg.models.build()",
        "import pkg.models as m\nx = m.build()",
        "from pkg.models import build as b\nx = b()",
        "from pkg import zoo\nx = zoo.build()",
        "from pkg.models import *\nx = build()",
    ):
        assert value(script, **texts) == (5, 3), script
    assert value("import pkg.deep.sizes\nx = pkg.deep.sizes.SIZE", **texts) == 5


def test_a_list_of_public_names_decides_what_a_star_brings():
    listed = "__all__ = ['a']\na = 1\nb = 2\n"
    assert value("b = 7\nfrom config import *\nx = (a, b)", config=listed) == (1, 7)
    assert value("_c = 7\nfrom config import *\nx = (a, _c)", config="a = 1\n_c = 2\n") == (1, 7)


def test_modules_that_import_each_other():
    texts = {
        "one": "import two\nA = 1\ndef both():\n    return (A, two.B)\n",
        "two": "import one\nB = 2\ndef other():\n    return one.A\n",
    }
    assert value("import one, two\nx = (one.both(), two.other())", **texts) == ((1, 2), 1)
    early = {"one": "from two import B\nA = 1\n", "two": "from one import A\nB = 2\n"}
    assert value("import one, two\nx = (one.B, two.A)", **early) == (2, UNKNOWN_VALUE)


def test_what_a_module_does_not_have_is_unknown():
    assert value("from config import M\nx = M", config="N = 3") == UNKNOWN_VALUE
    assert value("import config\nx = config.M", config="N = 3") == UNKNOWN_VALUE
    assert value("from pkg import sub\nx = sub.N", pkg__="") == UNKNOWN_VALUE


def test_paths_do_not_share_variables():
    script = """
    import sys, config
    from torch import nn
    if sys.argv[1] == "a":
        config.N = 4
        layer = nn.Linear(1, 2)
    else:
        layer = nn.Linear(3, 4)
    x = config.number()
    layer.out_features = x
    """
    found = {plain(e, raw(e, "x")) for e in executions(script, config="N = 3\ndef number():\n    return N\n")}
    assert found == {3, 4}


def test_a_module_imported_on_one_path_only():
    script = """
    import sys
    from torch import nn
    if sys.argv[1] == "a":
        import config
        n = config.N
    else:
        n = 7
    layer = nn.Linear(n, 1)
    x = layer.in_features
    """
    found = {plain(e, raw(e, "x")) for e in executions(script, config="N = 3\n")}
    assert found == {3, 7}


def test_an_import_that_a_module_cannot_survive_ends_the_path():
    assert [e.state.ended for e in executions("import config\nx = 1", config="raise ValueError('no')")] == ["raise"]
    assert value("try:\n    import config\n    x = 1\nexcept ValueError:\n    x = 2", config="raise ValueError") == 2
