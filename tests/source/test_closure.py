"""Which files of its project a script is followed through, and what it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from headcheck.source import project
from headcheck.source.importing import imports, may_import_own, may_name
from headcheck.workspace import Workspace

BUILD = "from torchvision import models\ndef build():\n    return models.resnet18()\n"


def make(root, files: dict[str, str]) -> None:
    root.mkdir(exist_ok=True)
    (root / "README.md").write_text("a project")
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def files_of(root, script: str) -> list[str]:
    found = Workspace().closure(os.path.join(root, script)).files
    return sorted(os.path.relpath(file, root).replace(os.sep, "/") for file in found if file != str(root / script))


def route(root, script: str, module: str, level: int = 0) -> str | None:
    path = str(root / script)
    found = project.find(project.layout(os.path.dirname(path)), path, module, level)
    if found is None:
        return None
    return os.path.relpath(found.places[-1].path, root).replace(os.sep, "/") if found.whole else "?"


@pytest.mark.parametrize(
    "module, level, found",
    [
        ("models", 0, "scripts/models.py"),
        ("pkg", 0, "pkg/__init__.py"),
        ("pkg.zoo", 0, "pkg/zoo.py"),
        ("pkg.deep.heads", 0, "pkg/deep/heads.py"),
        ("installed", 0, "src/installed/__init__.py"),
        ("installed.parts", 0, "src/installed/parts.py"),
        ("src.installed", 0, "src/installed/__init__.py"),
        ("pkg.nothing", 0, "?"),
        ("data", 0, None),
        ("nothing", 0, None),
        ("torch", 0, None),
        ("models", 1, "scripts/models.py"),
        ("pkg.zoo", 2, "pkg/zoo.py"),
        ("pkg", 3, "?"),
        ("twice", 0, "?"),
        ("scripts.models", 0, "scripts/models.py"),
        ("named", 0, "scripts/named.py"),
        ("named.parts", 0, "named/parts.py"),  # run from above: beside the script, a file has no parts
        ("named.nothing", 0, "?"),
        ("models.parts", 0, "?"),
    ],
)
def test_where_a_name_leads(tmp_path, module, level, found):
    make(tmp_path, dict.fromkeys(["scripts/train.py", "scripts/models.py", "models.py", "pkg/__init__.py", "pkg/zoo.py",
                                  "pkg/deep/heads.py", "src/installed/__init__.py", "src/installed/parts.py",
                                  "data/pictures.txt", "twice.py", "src/twice.py", "scripts/named.py",
                                  "named/parts.py"], ""))  # fmt: skip
    assert route(tmp_path, "scripts/train.py", module, level) == found


def test_no_link_leads_out_of_the_project(tmp_path):
    make(tmp_path / "outside", {"secret.py": "N = 1"})
    make(tmp_path / "inside", {"train.py": ""})
    (tmp_path / "inside" / "linked.py").symlink_to(tmp_path / "outside" / "secret.py")
    (tmp_path / "inside" / "folder").symlink_to(tmp_path / "outside")
    assert route(tmp_path / "inside", "train.py", "linked") is None
    assert route(tmp_path / "inside", "train.py", "folder.secret") is None
    (tmp_path / "inside" / "near.py").symlink_to(tmp_path / "inside" / "train.py")
    assert route(tmp_path / "inside", "train.py", "near") == "near.py"


def test_only_what_speaks_of_models_is_needed(tmp_path):
    make(
        tmp_path,
        {
            "train.py": "from models import build\nfrom utils import accuracy, freeze\nimport data\n"
            "m = build()\nfreeze(m)\ndata.load()\n",
            "models.py": BUILD,
            "utils.py": "from plots import plot\ndef accuracy(a, b):\n    plot(a)\n    return a == b\n"
            "def freeze(m):\n    m.requires_grad_(False)\n",
            "plots.py": "def plot(a):\n    pass\n",
            "data.py": "def load():\n    return 3\n",
        },
    )
    assert files_of(tmp_path, "train.py") == ["models.py", "utils.py"]


@pytest.mark.parametrize(
    ("build", "found"),
    [(BUILD, ["layers.py", "zoo.py"]), ("def build():\n    return 3\n", [])],  # without a model, nothing is asked
)
def test_layers_of_the_project_are_read_where_a_model_is_built(tmp_path, build, found):
    make(
        tmp_path,
        {
            "train.py": "from zoo import build\nfrom layers import Flatten\nfrom meters import Meter\n"
            "build(); Flatten(); Meter()\n",
            "zoo.py": build,
            "layers.py": "from torch import nn\nclass Flatten(nn.Module):\n    def forward(self, x):\n"
            "        return x.view(len(x), -1)\n",
            "meters.py": "class Meter:\n    pass\n",
        },
    )
    assert files_of(tmp_path, "train.py") == found


@pytest.mark.parametrize(
    "script",
    [
        "from pkg import build\nbuild()",
        "import pkg\npkg.build()",
        "from pkg import *\nbuild()",
        "import pkg.zoo as z\nz.build()",
        "import pkg.zoo\npkg.zoo.build()",
        "from pkg.zoo import build as b\nb()",
        "from pkg import zoo\nzoo.build()",
        "from pkg import zoo\nBUILDERS = {'a': zoo.build}",
        "import pkg.zoo as z\ngetattr(z, name)()",
        "def main():\n    from pkg.zoo import build\n    build()",
        "try:\n    from pkg.zoo import build\nexcept ImportError:\n    build = None\nbuild()",
        "from pkg.net import Net\nNet()",
        "import space.zoo\nspace.zoo.build()",
        "import space\nfrom space import zoo\nzoo.build()",
        "from pkg.net import Net\nclass Mine(Net):\n    pass\nMine()",
    ],
)
def test_every_way_to_a_builder(tmp_path, script):
    make(
        tmp_path,
        {
            "train.py": script,
            "pkg/__init__.py": "from .zoo import *\nfrom .other import thing\n",
            "pkg/zoo.py": BUILD,
            "pkg/net.py": "from .zoo import build\nclass Net:\n    def __init__(self):\n        self.m = build()\n",
            "pkg/other.py": "def thing():\n    pass\n",
            "space/zoo.py": "from pkg.zoo import build\n",
        },
    )
    found = files_of(tmp_path, "train.py")
    assert "pkg/zoo.py" in found and "pkg/other.py" not in found


@pytest.mark.parametrize(
    "script",
    [
        "import pkg\npkg.__dict__[name]()",
        "import pkg as nets\ngetattr(nets, name)()",
        "import pkg\neval('pkg.{}(weights=None)'.format(name))",
        "import pkg\neval(f'pkg.{name}')()",
        "import pkg\nmake(pkg)",
    ],
)
def test_what_a_package_brings_by_a_star_may_be_meant_by_a_name_that_is_not_known(tmp_path, script):
    sub = {"pkg/deep/__init__.py": "from .far import *\n", "pkg/deep/far.py": BUILD.replace("def build", "def far")}
    package = {"pkg/__init__.py": "from .zoo import *\nfrom .deep import far\n", "pkg/zoo.py": BUILD}
    make(tmp_path, {"train.py": script, "pkg/apart.py": BUILD, **package, **sub})
    found = files_of(tmp_path, "train.py")
    assert {"pkg/__init__.py", "pkg/zoo.py", "pkg/deep/far.py"} <= {*found} and "pkg/apart.py" not in found
    make(tmp_path, {"train.py": "import pkg\npkg.build()"})
    assert "pkg/deep/far.py" not in files_of(tmp_path, "train.py")


def test_constants_of_small_modules(tmp_path):
    files = {
        "train.py": "from config import N\nimport settings as s\nfrom huge import M\n"
        + BUILD
        + "build(N, s.ARCH, M)\n",
        "config.py": "N = 10\n",
        "settings.py": "ARCH = 'resnet18'\n",
        "huge.py": "M = 3\n" + "# nothing\n" * 10_000,
    }
    make(tmp_path, files)
    assert files_of(tmp_path, "train.py") == ["config.py", "settings.py"]


def test_a_script_that_gets_to_no_library_model_is_followed_into_few_modules(tmp_path):
    own = "from torch import nn\ndef make():\n    return nn.Linear(1, 2)\n"
    names = [f"m{number}" for number in range(9)]
    script = "".join(f"import {name}\n{name}.make()\n" for name in names)
    make(tmp_path, {"train.py": script, **{f"{name}.py": own for name in names}})
    assert len(files_of(tmp_path, "train.py")) == 7
    (tmp_path / "m0.py").write_text(BUILD.replace("build", "make"))
    assert len(files_of(tmp_path, "train.py")) == 9


@pytest.mark.parametrize(
    "line",
    [
        "sys.path.append('../common')",
        "sys.path.insert(0, '../common')",
        "sys.path.append(os.path.join(os.path.dirname(__file__), '..', 'common'))",
        "sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../common'))",
        "sys.path.append(str(Path(__file__).resolve().parent.parent / 'common'))",
    ],
)
def test_folders_that_the_script_adds(tmp_path, line):
    script = f"import os, sys\nfrom pathlib import Path\n{line}\nfrom zoo import build\nbuild()\n"
    make(tmp_path, {"deep/train.py": script, "common/zoo.py": BUILD})
    assert files_of(tmp_path, "deep/train.py") == ["common/zoo.py"]


def test_modules_that_import_each_other(tmp_path):
    one = "import two\ndef build():\n    return two.make()\n"
    two = "import one\nfrom torchvision import models\ndef make():\n    return models.resnet18() or one.build()\n"
    make(tmp_path, {"train.py": "from one import build\nbuild()", "one.py": one, "two.py": two})
    assert files_of(tmp_path, "train.py") == ["one.py", "two.py"]


def test_what_only_the_main_program_of_a_module_does_is_not_needed(tmp_path):
    zoo = BUILD + "if __name__ == '__main__':\n    from demo import show\n    show(build())\n"
    make(tmp_path, {"train.py": "from zoo import build\nbuild()", "zoo.py": zoo, "demo.py": BUILD})
    assert files_of(tmp_path, "train.py") == ["zoo.py"]


def test_files_that_cannot_be_read(tmp_path):
    files = {"train.py": "from a import x\nfrom b import y\nx(); y()", "a.py": "def x(:\n"}
    make(tmp_path, files)
    (tmp_path / "b.py").write_bytes(b"\xff\xfe\0")
    assert files_of(tmp_path, "train.py") == []


def test_imports_in_a_text(tmp_path):
    text = (
        "import a, b.c as d\nfrom e import (f,\n  g as h)\n  from . import i\nfrom ..j import *\nimport k; import l\n"
    )
    assert list(imports(text)) == [
        ("a", 0, ()), ("b.c", 0, ()), ("e", 0, ("f", "g", "as", "h")), ("", 1, ("i",)), ("j", 2, ()), ("k", 0, ()),
        ("l", 0, ()),
    ]  # fmt: skip
    make(tmp_path, {"train.py": "", "zoo.py": ""})
    where = project.layout(str(tmp_path))
    for text, own in (("import zoo", True), ("import torch", False), ("from . import x", True), ("zoo = 3", False)):
        assert may_import_own(text, str(tmp_path / "train.py"), where) is own


@pytest.mark.parametrize(
    "text",
    [
        "import zoo",
        "import a, zoo as z",
        "from zoo import build",
        "from pkg.zoo.parts import build",
        "from . import zoo",
        "x = 1; import zoo",
        "from pkg import (a,\n    zoo,\n)",
        "f(1)\nfrom pkg import (  # a (remark\n    a, zoo)",
    ],
)
def test_a_name_in_an_import_is_seen_without_looking_for_imports(text):
    assert any("zoo" in (*each.module.split("."), *each.names) for each in imports(text))
    assert may_name(text.encode(), b"zoo")


@pytest.mark.parametrize("text", ["zoo = 3", "import zoology", "import os\nzoo()", "from a import (b)\nf(c,\n  zoo)"])
def test_a_name_elsewhere_is_passed_over(text):
    assert not may_name(text.encode(), b"zoo")


@pytest.mark.parametrize(("head", "whole"), [("m.fc = nn.Linear(4, 2)", True), ("m.fc = 3", False)])
def test_all_modules_of_a_script_that_replaces_the_head_of_one(tmp_path, head, whole):
    """Also where no model of a library is built; the chain is longer than what such a script is followed through."""
    base = "from part{0} import Net{0}\nfrom torch import nn\nclass Net{1}(Net{0}):\n    size = nn.Linear\n"
    parts = {f"part{number}.py": base.format(number + 1, number) for number in range(8)}
    last = "from torch import nn\nclass Net8(nn.Module):\n    size = nn.Linear\n"
    make(tmp_path, {**parts, "part8.py": last, "train.py": f"from part0 import Net0\nm = Net0()\n{head}\n"})
    assert ("part8.py" in files_of(tmp_path, "train.py")) is whole


def test_which_files_are_too_many_does_not_hang_on_a_hash(tmp_path):
    names = [f"part{number}" for number in range(12)]
    parts = {f"{name}.py": f"from torch import nn\ndef {name}(m):\n    m.fc = nn.Linear(1, 2)\n" for name in names}
    uses = "".join(f"    {name}.{name}(m)\n" for name in names)
    make(tmp_path, {**parts, "train.py": f"import {', '.join(names)}\ndef run(m):\n{uses}"})
    ask = "import sys; from headcheck.workspace import Workspace; print(Workspace().closure(sys.argv[1]).files)"
    answers = {
        subprocess.run(
            [sys.executable, "-c", ask, str(tmp_path / "train.py")],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in "123"
    }
    assert len(answers) == 1


def test_the_bases_of_a_class_come_before_what_is_read_for_other_names(tmp_path):
    """Where there are too many files: without its bases a class is not known."""
    others = {f"part{number}.py": f"{BUILD}class Part:\n    pass\n" for number in range(50)}
    first = "from base import Base\nfrom torch import nn\nclass Net(Base):\n    head = nn.Linear\n"
    uses = "".join(f"import part{number}\nm{number} = part{number}.build()\n" for number in range(50))
    base = {"base.py": "from torch import nn\nclass Base(nn.Module):\n    pass\n"}
    script = f"from aaa import Net\n{uses}m = Net()\n"
    make(tmp_path, {**others, **base, "aaa.py": first, "train.py": script})
    found = files_of(tmp_path, "train.py")
    assert "aaa.py" in found and "base.py" in found and len(found) < 50
