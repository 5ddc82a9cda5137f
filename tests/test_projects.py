"""Whole projects: imports are followed, findings lie where the line is to be mended, and what is found in a file is the
same whatever else is asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from headcheck import pipeline
from headcheck.findings import FileResult, Run
from headcheck.settings import Settings

FIXTURES = Path(__file__).parents[1] / "fixtures" / "projects"
PROJECTS = sorted(folder for folder in FIXTURES.iterdir() if folder.is_dir())
ONLY_READ = Settings(confirm=False)

HEADS = """\
from torch import nn


def new_head(model, classes):
    model.fc = nn.Linear(512, classes)
"""
TRAIN = """\
from torchvision import models
from heads import new_head
model = models.resnet50(weights="DEFAULT")
new_head(model, 10)
"""
LAUNCHER = "from heads import new_head\nfrom zoo import big\nnew_head(big(), 3)\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def check(*paths: str, settings: Settings = ONLY_READ, stdin: bytes | None = None) -> Run:
    return pipeline.run(list(paths), settings, stdin)


def findings(run: Run) -> dict[str, list[tuple[int, str]]]:
    """Row and code of the findings in each file that has some."""
    return {
        result.filename.replace(os.sep, "/"): [(finding.location.row, finding.code) for finding in result.findings]
        for result in run.files
        if result.findings
    }


def of(run: Run, filename: str) -> FileResult:
    return next(result for result in run.files if os.path.abspath(result.filename) == os.path.abspath(filename))


def scripts(root: Path) -> list[str]:
    found = [path for suffix in ("*.py", "*.ipynb") for path in root.rglob(suffix)]
    return sorted(os.path.relpath(path, root) for path in found)


@pytest.fixture(params=PROJECTS, ids=lambda folder: folder.name)
def project(request, tmp_path, monkeypatch):
    """A copy of a project, which is then no part of this one, as the working folder."""
    root = tmp_path / request.param.name
    shutil.copytree(request.param, root)
    monkeypatch.chdir(root)
    return root


def test_what_is_found_in_a_project(project):
    said = (project / "expected.txt").read_text(encoding="utf-8")
    promised: dict[str, list[tuple[int, str]]] = {}
    for name, code, row in re.findall(r"^(\S+): (HC\d{3}) at (\d+)$", said, re.MULTILINE):
        promised.setdefault(name, []).append((int(row), code))
    assert bool(promised) != (said.strip() == "none")
    assert findings(check(".")) == promised


def test_a_file_alone_gives_what_its_folder_gives(project):
    settings = Settings(confirm=False, select=("ALL",))
    whole = check(".", settings=settings)
    for name in scripts(project):
        folder = os.path.dirname(name) or "."
        alone = of(check(name, settings=settings), name)
        assert alone.findings == of(whole, name).findings == of(check(folder, settings=settings), name).findings
        assert alone.models == of(whole, name).models


def test_the_order_of_the_files_does_not_matter(project):
    names = scripts(project)
    assert check(*names).files == check(*reversed(names)).files[::-1]


# --- where a finding lies, and what it says --------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def test_the_way_to_a_finding_is_said(here):
    write(here, {"heads.py": HEADS, "train.py": TRAIN})
    (finding,) = of(check("heads.py"), "heads.py").findings
    assert finding.message == "Linear takes 512 features, but resnet50 (train.py:3) feeds 2048 into `fc`"
    assert finding.conditions == ("called from train.py:4",)


EVALUATE = """
import torch
class Evaluator:
    def embed(self, model):
        model = model.eval()
        return model.layer
"""
WRAPPING = """
import argparse
from torch import nn
from network import Net
from evaluating import Evaluator
from torchvision import models
parser = argparse.ArgumentParser()
parser.add_argument("--distributed", action="store_true")
args = parser.parse_args()
model = Net()
model = nn.DataParallel(model)
if args.distributed:
    model = {wrapped}
Evaluator().embed(model.module.eval())
"""
NETWORK = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
    def forward(self, x):
        return self.layer(x)
"""


@pytest.mark.parametrize(
    ("wrapped", "found"),
    [("nn.parallel.DistributedDataParallel(model)", 1), ("nn.parallel.DistributedDataParallel(model.module)", 0)],
)
def test_the_way_to_a_finding_is_said_beside_what_it_takes(here, wrapped, found):
    script = WRAPPING.format(wrapped=wrapped)
    write(here, {"evaluating.py": EVALUATE, "network.py": NETWORK, "train.py": script})
    line = script.strip("\n").count("\n") + 2
    for asked in (".", "train.py", "evaluating.py"):
        said = [finding for result in check(asked).files for finding in result.findings]
        assert [finding.code for finding in said] == ["HC204"] * found
        assert all(finding.conditions == ("args.distributed", f"called from train.py:{line}") for finding in said)


def test_what_a_script_leads_to_is_said_when_it_is_checked(here):
    write(here, {"heads.py": HEADS, "train.py": TRAIN})
    assert findings(check("train.py")) == {"heads.py": [(5, "HC101")]}


@pytest.mark.parametrize("elsewhere", [False, True], ids=["from its folder", "from another"])
def test_names_are_short_whatever_the_folder_is_called(here, tmp_path, monkeypatch, elsewhere):
    write(here, {"lib/heads.py": HEADS, "train.py": TRAIN.replace("from heads", "from lib.heads")})
    if elsewhere:
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
    settings = Settings(confirm=False)
    run = check(str(here), settings=settings)
    (finding,) = of(run, str(here / "lib" / "heads.py")).findings
    assert finding.filename == str(here / "lib" / "heads.py")
    train = os.path.join("..", "train.py") if elsewhere else "train.py"
    assert f"resnet50 ({train}:3)" in finding.message
    assert finding.conditions == (f"called from {train}:4",)


def test_files_that_nobody_named_are_called_as_the_others(here, tmp_path, monkeypatch):
    write(here, {"heads.py": HEADS, "train.py": TRAIN})
    assert list(findings(check(str(here / "train.py")))) == [str(here / "heads.py").replace(os.sep, "/")]
    assert list(findings(check("train.py"))) == ["heads.py"]


# --- who is asked ----------------------------------------------------------------------------------------------------


def test_a_launcher_that_speaks_of_no_model_is_asked(here):
    zoo = "from torchvision import models\ndef big():\n    return models.resnet50()\n"
    write(here, {"heads.py": HEADS, "run.py": LAUNCHER, "zoo.py": zoo})
    for asked in (".", "heads.py"):
        assert of(check(asked), "heads.py").findings[0].conditions == ("called from run.py:3",)


IN_LIB = TRAIN.replace("from heads", "from lib.heads")


def importing(line: str) -> str:
    return TRAIN.replace("from heads import new_head", line)


@pytest.mark.parametrize(
    "files",
    [
        {"heads.py": HEADS, "train.py": TRAIN},
        {"heads.py": HEADS, "deep/train.py": TRAIN, "pyproject.toml": ""},
        {"src/heads.py": HEADS, "scripts/train.py": TRAIN, "pyproject.toml": ""},
        {"heads.py": HEADS, "train.py": importing("import heads").replace("new_head(", "heads.new_head(")},
        {"lib/heads.py": HEADS, "train.py": IN_LIB},
        {"lib/heads.py": HEADS, "train.py": IN_LIB, "lib/README.md": ""},
        {"lib/heads.py": HEADS, "train.py": IN_LIB, "lib/setup.py": "", ".git/HEAD": ""},
        {"lib/heads.py": HEADS, "lib/__init__.py": "from .heads import *", "train.py": importing("from lib import *")},
        {"lib/heads.py": HEADS, "lib/main.py": importing("from .heads import new_head")},
        {"lib/heads.py": HEADS, "lib/main.py": importing("from . import heads\nnew_head = heads.new_head")},
        {"lib/heads.py": HEADS, "train.py": "import sys\nsys.path.append('lib')\n" + TRAIN},
        {"heads.py": HEADS, "train.py": importing("from heads import (\n    new_head,\n)")},
        {"heads.py": HEADS, "train.py": importing("import os; from heads import new_head")},
    ],
)
def test_ways_to_import_a_file(here, files):
    write(here, files)
    name = next(name for name in files if name.endswith("heads.py"))
    assert [finding.code for finding in of(check(name), name).findings] == ["HC101"]
    assert [finding.code for finding in of(check("."), name).findings] == ["HC101"]


@pytest.mark.parametrize(
    "files",
    [
        {"train.py": TRAIN.replace("import new_head", "import other")},
        {"train.py": "# from heads import new_head\n"},
        {"apart/train.py": TRAIN, "apart/heads.py": "def new_head(model, classes): pass\n"},
        {"train.py": TRAIN, ".gitignore": "train.py", ".git/HEAD": ""},
        {"env/train.py": TRAIN, "env/pyvenv.cfg": "", ".git/HEAD": ""},
        {"venv/train.py": TRAIN, ".git/HEAD": ""},
        {"train.py": "def broken(:\n" + TRAIN},
    ],
)
def test_what_is_not_asked(here, files):
    write(here, {"heads.py": HEADS, **files})
    assert of(check("heads.py"), "heads.py").findings == ()


def test_folders_of_data_are_passed_over(here, monkeypatch):
    from headcheck.source import files

    write(here, {"heads.py": HEADS, "run/train.py": TRAIN, "pyproject.toml": ""})
    assert findings(check("heads.py")) == {"heads.py": [(5, "HC101")]}
    for number in range(files.MOST_IN_A_FOLDER):
        (here / "run" / f"{number}.png").touch()
    assert findings(check("heads.py")) == {}


def test_files_that_do_not_name_the_module_are_not_parsed(here, monkeypatch):
    from headcheck.source import guard

    parsed = []
    real = guard.check
    monkeypatch.setattr(
        guard, "check", lambda text, name="": (parsed.append(os.path.basename(name)), real(text, name))[1]
    )
    write(
        here,
        {"heads.py": HEADS, "train.py": TRAIN, "other.py": TRAIN.replace("heads", "tails"), "notes.py": "heads = 3"},
    )
    check("heads.py")
    assert set(parsed) == {"heads.py", "train.py"}


def test_standard_input_takes_the_place_of_the_file(here):
    write(here, {"heads.py": "from torch import nn\n", "train.py": TRAIN})
    settings = Settings(confirm=False, stdin_filename="heads.py")
    assert findings(check("-", settings=settings, stdin=HEADS.encode())) == {"heads.py": [(5, "HC101")]}
    settings = Settings(confirm=False, stdin_filename="new/train.py")
    write(here, {"heads.py": HEADS, "new/heads.py": HEADS})
    assert findings(check("-", settings=settings, stdin=TRAIN.encode())) == {"new/heads.py": [(5, "HC101")]}


def test_standard_input_is_what_the_others_import(here):
    write(here, {"heads.py": "from torch import nn\n", "train.py": TRAIN})
    settings = Settings(confirm=False, stdin_filename="heads.py")
    assert findings(check("train.py", "-", settings=settings, stdin=HEADS.encode())) == {"heads.py": [(5, "HC101")]}


# --- whose word counts -----------------------------------------------------------------------------------------------

BUILD = """\
from torch import nn
from torchvision import models
def build(classes):
    model = models.resnet18()
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Linear(512, classes)
    return model
"""
SCRIPT = "import torch\nfrom models import build\nmodel = build(3)\n"
LOADED = SCRIPT + "model.load_state_dict(torch.load('a.pt'), strict=False)\n"
NOT_LOADED = SCRIPT + "model.train()\n"
LEARNS = SCRIPT + "optimizer = torch.optim.SGD(model.fc.parameters())\n"
THAWED = SCRIPT + "model.fc.requires_grad_(True)\noptimizer = torch.optim.SGD(model.fc.parameters())\n"


@pytest.mark.parametrize(
    "files, found",
    [
        ({}, [(6, "HC307")]),
        ({"train.py": LOADED}, []),
        ({"train.py": NOT_LOADED}, [(6, "HC307")]),
        ({"train.py": NOT_LOADED + "torch.save(model.state_dict(), 'a.pt')\n"}, [(6, "HC307")]),
        ({"train.py": LOADED, "deep.py": "import train\n"}, []),
    ],
    ids=["nobody uses it", "loaded", "not loaded", "saved", "loaded further on"],
)
def test_what_is_missing_may_be_done_by_who_imports_it(here, files, found):
    write(here, {"models.py": BUILD, **files})
    for asked in ("models.py", "."):
        seen = of(check(asked), "models.py").findings
        assert [(finding.location.row, finding.code) for finding in seen] == found


def test_a_script_that_does_it_does_not_speak_for_one_that_does_not(here):
    frozen = BUILD.replace("()\n    for", '(weights="DEFAULT")\n    for')
    frozen = frozen.replace("    return", "    model.requires_grad_(False)\n    return")
    write(here, {"models.py": frozen, "thawed.py": THAWED})
    assert findings(check(".")) == findings(check("models.py")) == {}
    write(here, {"learns.py": LEARNS})
    for asked in ("models.py", "."):
        assert findings(check(asked))["models.py"] == [(8, "HC301")]


def test_a_run_on_one_file_ends_as_one_on_its_folder(here):
    write(here, {"heads.py": HEADS, "train.py": TRAIN})
    for asked in ("heads.py", "."):
        done = subprocess.run(
            [sys.executable, "-m", "headcheck", "--no-confirm", "--output-format", "concise", asked],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(FIXTURES.parents[1])},
        )
        assert done.returncode == 1
        assert done.stdout.splitlines()[0].startswith("heads.py:5:16 HC101 ")


def test_a_file_that_cannot_matter_holds_no_finding_either_way(here):
    zoo = "from torch import nn\nfrom torchvision import models\n"
    zoo += "def big():\n    m = models.resnet50(weights='DEFAULT')\n    m.fc = nn.Linear(2048, 3)\n    return m\n"
    zoo += "def freeze(m):\n    m.requires_grad_(False)\n"
    write(here, {"zoo.py": zoo, "run.py": "from zoo import big, freeze\nm = big()\nfreeze(m)\nm.train()\nm(1)\n"})
    assert findings(check("zoo.py", "run.py")) == findings(check(".")) == findings(check("run.py")) == {}
    assert not of(check("."), "run.py").relevant


def test_a_replacement_is_followed_if_it_is_from_a_script_that_imports_it(here):
    write(here, {"heads.py": HEADS})
    settings = Settings(confirm=False, select=("HC902",))
    alone = of(check("heads.py", settings=settings), "heads.py")
    assert [finding.code for finding in alone.findings] == ["HC902"]
    assert (alone.statistics.replacements, alone.statistics.resolved) == (1, 0)
    write(here, {"train.py": TRAIN})
    for asked in ("heads.py", "."):
        used = of(check(asked, settings=settings), "heads.py")
        assert used.findings == () and used.statistics.reasons == ()
        assert (used.statistics.replacements, used.statistics.resolved) == (1, 1)
        assert of(pipeline.run([asked], settings, models=True), "heads.py").blind_spots == ()


STEM = """\
from torch import nn
class Stem(nn.Module):
    def __init__(self, config):
        super().__init__()
        if config.wide:
            size = 7
            self.pooled = True
        else:
            size = 3
            self.pooled = False
        self.conv = nn.Conv2d(3, 64, size)

    def forward(self, x):
        if self.pooled:
            x = self.pool(x)
        return self.conv(x).mean((2, 3))

class Net(nn.Module):
    def __init__(self, config, num_classes=10):
        super().__init__()
        self.stem = Stem(config)
        self.head = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.head(self.stem(x))
"""
OPTIONS = "argparse.ArgumentParser()\np.add_argument('--wide', action='store_true')\nnet = Net(p.parse_args())\n"
RUNS = "net(torch.rand(1, 3, 224, 224))\n"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("", True),
        ("net = Net(Namespace(wide=False))\n" + RUNS, False),
        ("net = Net(Namespace(wide=True))\n" + RUNS, True),
        ("net = Net(Namespace(wide=False))\n", False),  # that it will be run is taken for granted
        ("net = Net(Namespace(wide=True))\n", True),
        ("p = " + OPTIONS + RUNS, True),
    ],
)
def test_what_a_network_lacks_where_no_script_takes_it(here, script, found):
    """A side of a branch that every script which runs the network passes by."""
    write(here, {"stem.py": STEM})
    write(
        here,
        {"train.py": "import argparse\nimport torch\nfrom argparse import Namespace\nfrom stem import Net\n" + script},
    )
    expected = {"stem.py": [(15, "HC202")]} if found else {}
    assert findings(check(".")) == findings(check("stem.py")) == expected


def test_a_folder_and_a_module_in_it_of_one_name(here):
    """Beside the script lies the module alone, from above both are found."""
    net = "from torch import nn\nclass Net:\n    def __init__(self, model):\n        self.model = model\n"
    net += "        self.model.classifier = nn.Linear({}, 7)\n"
    run = "from torchvision import models\nfrom net.net import Net\nNet(models.densenet121(weights=None))\n"
    write(here, {"README.md": "", "net/main.py": run})
    for size, found in ((512, {"net/net.py": [(5, "HC101")]}), (1024, {})):
        write(here, {"net/net.py": net.format(size)})
        assert findings(check(".")) == findings(check("net/net.py")) == found


def test_what_a_script_puts_beside_the_parts_of_a_network_is_no_replacement(here):
    """Only who leads there knows that the network has no such part."""
    parts = "from torch import nn\nclass Beside:\n    def __init__(self, net):\n        net.proj = nn.Linear(4, 2)\n"
    write(here, {"parts.py": parts})
    assert of(check("parts.py"), "parts.py").statistics.replacements == 1
    net = "from torch import nn\nfrom parts import Beside\nclass Net({}):\n    def __init__(self):\n"
    net += "        super().__init__()\n        self.{} = nn.Linear(4, 4)\nBeside(Net())\n"
    for base, name, counts in (("nn.Module", "body", (0, 0)), ("nn.Module", "proj", (1, 1)), ("Other", "body", (1, 0))):
        write(here, {"train.py": net.format(base, name)})
        found = of(check("parts.py"), "parts.py").statistics
        assert (found.replacements, found.resolved) == counts


DEFAULTS = """\
import timm
from torch import nn


def build(name="no_such_net", classes=10):
    net = timm.create_model(name)
    net.fc = nn.Linear(512, classes)
    return net


class Net(nn.Module):
    def __init__(self, name="no_such_net", size=64):
        super().__init__()
        self.net = timm.create_model(name)
        self.net.fc = nn.Linear(size, 10)
"""


def test_defaults_that_no_script_takes_are_none(here):
    """Whoever calls the function gives it something else, whether that is known or not."""
    write(here, {"zoo.py": DEFAULTS})
    assert findings(check("zoo.py")) == {"zoo.py": [(6, "HC205"), (14, "HC205")]}
    for made in ("build(cfg.name), Net(cfg.name, size=512)", "build('resnet18'), Net(name='resnet18', size=512)"):
        write(here, {"train.py": f"from zoo import build, Net\nfrom conf import cfg\nmade = {made}\n"})
        assert findings(check("zoo.py")) == findings(check(".")) == {}
    write(here, {"other.py": "from zoo import build\nbuild()\n"})
    assert findings(check("zoo.py")) == findings(check(".")) == {"zoo.py": [(6, "HC205")]}


def test_a_default_that_a_script_takes_is_wrong_with_its_other_arguments_too(here):
    write(here, {"zoo.py": DEFAULTS, "train.py": "from zoo import Net\nNet('resnet18')\n"})
    assert findings(check("zoo.py")) == findings(check(".")) == {"zoo.py": [(6, "HC205"), (15, "HC101")]}


def test_what_is_wrong_whatever_the_arguments_are_stays(here):
    zoo = "from torch import nn\nfrom torchvision import models\n"
    zoo += "def build(classes=10):\n    m = models.resnet50()\n    m.fc = nn.Linear(512, classes)\n    return m\n"
    write(here, {"zoo.py": zoo, "train.py": "from zoo import build\nfrom conf import cfg\nbuild(cfg.classes)\n"})
    assert findings(check("zoo.py")) == findings(check(".")) == {"zoo.py": [(5, "HC101")]}


@pytest.mark.parametrize(("inside", "expected"), [("nn.Linear(4, 4)", []), ("models.resnet18()", [(4, "HC201")])])
def test_a_layer_put_on_a_network_of_another_file(here, inside, expected):
    """It may be there for the checkpoint alone, unless the network stands around a model whose head it was to be."""
    net = f"""\
    from torch import nn
    from torchvision import models
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = {inside}
        def forward(self, x):
            return self.body(x)
    """
    write(
        here,
        {
            "net.py": net,
            "run.py": "from torch import nn\nfrom net import Net\nm = Net()\nm.extra = nn.Linear(4, 2)\nm(1)\n",
        },
    )
    assert findings(check("run.py")).get("run.py", []) == expected
    both = textwrap.dedent(net) + "m = Net()\nm.extra = nn.Linear(4, 2)\nm(1)\n"
    write(here, {"both.py": both})
    assert findings(check("both.py")) == {"both.py": [(10, "HC201")]}


PROBE = """\
from torch import nn
from torchvision import models


def probe(pretrained=True):
    model = models.resnet18(weights="DEFAULT" if pretrained else None)
    model.requires_grad_(False)
    model.fc = nn.Linear(512, 3)
    return model
"""


def test_what_a_test_builds_does_not_have_to_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    use = "from nets import probe\nmodel = probe(pretrained=False)\nassert not model.conv1.weight.requires_grad\n"
    write(tmp_path, {"nets.py": PROBE, "test_nets.py": use})
    assert findings(check(".")) == {}
    write(tmp_path, {"train.py": use})
    assert findings(check(".")) == {"nets.py": [(7, "HC307")]}
