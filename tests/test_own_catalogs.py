"""Catalogs of a project's own builders: tracing them, naming them in the settings, and packages that ship theirs."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headcheck.catalog import own, validation
from headcheck.cli import main

PROJECT = Path(__file__).parents[1] / "fixtures" / "own_catalog"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project, as the current folder."""
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def expected(path: Path) -> list[str]:
    """What the comments of a script say is found, and where."""
    lines = path.read_text().splitlines()
    return [f"{number} {line.split('# ')[1]}" for number, line in enumerate(lines, 1) if "# HC" in line]


def found(capsys, *arguments: str) -> list[str]:
    """Line and code of what a check finds."""
    assert main(["--no-confirm", "--output-format", "json", *arguments]) in (0, 1)
    return [f"{each['location']['row']} {each['code']}" for each in json.loads(capsys.readouterr().out)]


# --- what the project's settings name --------------------------------------------------------------------------------


def test_what_is_traced_is_known_without_torch(project, capsys):
    assert found(capsys, "train.py") == expected(project / "train.py")
    assert found(capsys, ".") == expected(project / "train.py")


def test_without_its_catalog_it_is_not_known(project, capsys):
    (project / "pyproject.toml").unlink()
    assert not set(expected(project / "train.py")) & set(found(capsys, "train.py"))


@pytest.mark.parametrize(
    "imports",
    [
        "import plants.nets\nm = plants.nets.Net()",
        "import plants.nets as n\nm = n.Net()",
        "from plants import nets\nm = nets.Net()",
        "from plants.nets import *\nm = Net()",
        "from plants.nets import Net as N\nkinds = {'a': N}\nm = kinds['a']()",
    ],
)
def test_however_it_is_imported(project, capsys, imports):
    (project / "train.py").write_text(f"from torch import nn\n{imports}\nm.top = nn.Linear(9, 2)\n")
    assert [each.split()[1] for each in found(capsys, "train.py")] == ["HC101"]


def test_from_beside_it(project, capsys):
    (project / "plants" / "fit.py").write_text(
        "from torch import nn\nfrom .nets import Net\nm = Net(3)\nm.top = nn.Linear(9, 2)\n"
    )
    assert found(capsys, "plants/fit.py") == ["4 HC101"]


def test_another_function_of_that_name_is_another(project, capsys):
    (project / "train.py").write_text(
        "from torch import nn\n\ndef backbone(n):\n    return nn.Sequential(nn.Linear(4, n))\n\n"
        "m = backbone(3)\nm.fc = nn.Linear(9, 2)\n"
    )
    assert found(capsys, "train.py") == []


@pytest.mark.parametrize("call", ["Net(3, {})", "Net(parts=other)", "Net(**options)", "backbone(3, pretrained=p)"])
def test_arguments_that_may_change_it(project, capsys, call):
    text = f"from torch import nn\nfrom plants.nets import Net, backbone\nm = {call}\nm.top = m.fc = nn.Linear(9, 2)\n"
    (project / "train.py").write_text(text)
    # Whatever the weights are, they leave the structure as it is.
    assert bool(found(capsys, "train.py")) is call.startswith("backbone")


def test_a_builder_that_has_changed_is_not_known(project, capsys):
    with (project / "plants" / "nets.py").open("a") as file:
        file.write("\nPARTS = {}\n")
    assert main(["--no-confirm", "--output-format", "concise", "train.py"]) == 1
    said = capsys.readouterr()
    assert "HC101" in said.out and "Net (" not in said.out and "backbone" not in said.out
    assert "plants.nets has changed since plants.nets:Net was traced" in said.err
    assert "(headcheck trace plants.nets:Net)" in said.err


def test_line_endings_are_no_change(project, capsys):
    path = project / "plants" / "nets.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert found(capsys, "train.py") == expected(project / "train.py")


# --- what is wrong with them -----------------------------------------------------------------------------------------


def changed(data: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    *way, last = path.split("/")
    place: Any = data
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[int(last) if isinstance(place, list) else last] = value
    return data


NET = "builders/plants.nets.Net"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", 99, "its format is 99"),
        ("names", [3], "no list of names"),
        ("nodes/0/1", 10**6, "no such names"),
        ("nodes/0", ["torch.nn.Linear", 0, {}, {}, {}], "a torch.nn.Linear without in_features"),
        ("nodes/3/2/in_features", "8", "'8' is no size"),
        ("nodes/4/4/top", 4, "no module before it"),
        ("nodes/4/4/top", -1, "no module before it"),
        ("nodes/0/0", "a\x1b[2J", "is no name"),
        ("nodes/0/2", {"x": [[[[[1]]]]]}, "a value too deep"),
        (f"{NET}/counts", {}, "a number that follows no count"),
        (f"{NET}/root", 0, "no such module"),
        (f"{NET}/heads/0/path", "pool", "is no size"),
        (f"{NET}/heads/0/shape", ["8"], "is no size"),
        (f"{NET}/frozen", 1, "neither true nor false"),
        (f"{NET}/more", 1, "more than belongs there"),
        ("builders/torchvision.models.resnet50", {}, "it is a library's"),
        ("builders", [], "no object"),
    ],
)
def test_a_file_that_is_no_catalog(project, capsys, path, value, said):
    data = json.loads((project / "heads.json").read_text())
    (project / "heads.json").write_text(json.dumps(changed(data, path, value)))
    assert main(["--no-confirm", "train.py"]) == 2
    error = capsys.readouterr().err
    assert "heads.json: not a catalog of headcheck's: " in error and said in error
    assert error.isprintable() or error.strip().isprintable()


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"format": NaN}', "{}"])
def test_a_file_that_is_no_json_of_ours(project, content, capsys):
    (project / "heads.json").write_text(content)
    assert main(["--no-confirm", "train.py"]) == 2
    assert "heads.json: no" in capsys.readouterr().err.replace("its format is None", "no")


def places(data: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a file."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*way, key)
        yield from places(value, (*way, key))


def test_what_is_taken_can_be_looked_up():
    """Whatever else stands in a file: it is refused, or each of its models can be made whole."""
    text = (PROJECT / "heads.json").read_text()
    chance, ways, taken = random.Random(0), list(places(json.loads(text))), 0
    others = [None, True, -1, 3, 10**30, "", "a b", "x\n", [], {}, [1], {"num_classes": [1, 0]}, {"q": [1, 0]}, 1.5]
    for _ in range(1500):
        data = json.loads(text)
        *way, last = chance.choice(ways)
        place = functools.reduce(lambda inner, key: inner[key], way, data)
        place[last] = json.loads(json.dumps(chance.choice(others)))
        if validation.fault(data):
            continue
        taken += 1
        catalog = own.OwnCatalog("heads.json", data)
        for builder in catalog.builders.values():
            assert catalog.entry(builder, {}).root.total is not None
    assert 100 < taken < 1400


def test_a_model_of_models_of_models(project, capsys):
    """Each module holds the last twice: the file is short, the model would not end."""
    nodes = [["a.B", 0, {}, {}, {}], *(["a.B", 0, {}, {}, {"x": n, "y": n}] for n in range(38))]
    data = {"format": 1, "names": [""], "nodes": nodes, "builders": {}}
    (project / "heads.json").write_text(json.dumps(data))
    assert main(["--no-confirm", "train.py"]) == 2
    assert "more modules than a model has" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('catalog = "../heads.json"', "is not below"),
        ('catalog = "/etc/passwd"', "is not below"),
        ("catalog = 3", "must be a list of strings"),
        ('catalog = "none.json"', "No such file"),
        ('catalog = "plants"', "not a file"),
        ("builders = 3", "must be a table of names"),
        ('builders = {"a.b" = "torchvision.models.resnet5"}', "did you mean resnet50?"),
        ('builders = {"a.b" = "timm.models.resnet5"}', "timm has no builder"),
        ('builders = {"a.b" = "keras.resnet50"}', "no builder of a library that headcheck knows"),
        ('builders = {"a" = "torchvision.models.resnet50"}', "'a' is not the dotted name"),
    ],
)
def test_settings_that_are_wrong(project, capsys, line, said):
    (project / "pyproject.toml").write_text(f"[tool.headcheck]\n{line}\n")
    assert main(["--no-confirm", "train.py"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links")
def test_no_link_leads_out_of_the_project(project, tmp_path, capsys):
    shutil.move(project / "heads.json", tmp_path / "heads.json")
    (project / "heads.json").symlink_to(tmp_path / "heads.json")
    assert main(["--no-confirm", "train.py"]) == 2
    assert "is not below" in capsys.readouterr().err


# --- packages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, project):
    """A folder with an installed package that ships a catalog, and says so if it is imported."""
    site = tmp_path / "site"
    (site / "seedbank").mkdir(parents=True)
    (site / "seedbank" / "__init__.py").write_text("raise SystemExit('imported')\n")
    data = json.loads((project / "heads.json").read_text())
    facts = {**data["builders"]["plants.nets.Net"], "target": "seedbank:Net", "sources": {}}
    (site / "seedbank" / "heads.json").write_text(json.dumps({**data, "builders": {"seedbank.Net": facts}}))
    info = site / "seedbank-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seedbank\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headcheck.catalogs]\nseedbank = seedbank.heads\n")
    return site


SCRIPT = "import seedbank\nfrom torch import nn\nm = seedbank.Net(4)\nm.top = nn.Linear(9, 4)\n"


def checked(folder: Path, path: Path, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(script)
    command = [sys.executable, "-m", "headcheck", "--no-confirm", "--output-format", "concise", "train.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(path)])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_package_ships_a_catalog(package, tmp_path):
    done = checked(tmp_path / "user", package)
    assert "train.py:4:9 HC101" in done.stdout and done.stderr == ""


def test_a_package_whose_catalog_is_broken(package, tmp_path):
    (package / "seedbank" / "heads.json").write_text("{}")
    done = checked(tmp_path / "user", package)
    assert done.returncode == 0 and "the catalog of seedbank is left out: " in done.stderr


def test_what_lies_in_the_checked_folder_is_no_package(package, tmp_path):
    assert "HC101" not in checked(package, tmp_path / "none").stdout


def test_nobody_is_asked_about_libraries(tmp_path):
    script = "from torch import nn\nfrom torchvision import models\nm = models.resnet18()\nm.fc = nn.Linear(5, 4)\n"
    program = (
        "import sys\nfrom headcheck.catalog import known\nknown.installed = None\n"
        "from headcheck.cli import main\nsys.exit(main(['--no-confirm', 'train.py']))"
    )
    (tmp_path / "train.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")


# --- tracing ---------------------------------------------------------------------------------------------------------


def test_tracing_again_in_pytorch_gives_the_projects_file(project, capfd):
    pytest.importorskip("torchvision")
    (project / "heads.json").unlink()
    assert main(["trace", "plants.nets:Net", "--input", "3,32,32"]) == 0
    assert "head model.top: Linear(8, 5)" in capfd.readouterr().out
    assert main(["trace", "plants.nets:backbone", "--input", "3,32,32"]) == 0
    again, before = own.read(str(project / "heads.json")), own.read(str(PROJECT / "heads.json"))
    assert again.builders == before.builders
    for builder in before.builders.values():
        one, other = again.entry(builder, {"num_classes": 9}), before.entry(builder, {"num_classes": 9})
        assert (one.heads, one.inputs, one.outputs, one.used) == (other.heads, other.inputs, other.outputs, other.used)
        assert one.root.total == other.root.total


WAYS = """\
import os
import socket
import sys
from torch import nn
import torchvision

def frozen(num_classes=3):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, num_classes)).eval()
    model[1].requires_grad_(False)
    return model

def other_with_weights(pretrained=False):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 5 if pretrained else 4))

def fetching():
    socket.create_connection(("localhost", 9))

def printing():
    print("{}")
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4))

def dying():
    os._exit(3)
"""


@pytest.fixture
def ways(tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    (tmp_path / "ways.py").write_text(WAYS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_builder_does_besides_building_in_pytorch(ways, capsys):
    targets = ["ways:frozen", "ways:other_with_weights", "ways:printing"]
    assert main(["trace", *targets, "--input", "3,2,2", "--output", "c.json"]) == 0
    builders = own.read("c.json").builders
    frozen, other = builders["ways.frozen"], builders["ways.other_with_weights"]
    assert (frozen.frozen, frozen.training, frozen.counts) == (True, False, {"num_classes": 3})
    assert (other.weights, other.offline, other.frozen, other.training) == ((), ("pretrained",), False, True)
    assert dict(other.sources).keys() == {"ways"}


@pytest.mark.parametrize(
    ("target", "said"),
    [("ways:fetching", "no network while a model is traced"), ("ways:dying", "ended with exit status 3")],
)
def test_what_cannot_be_traced_in_pytorch(ways, capsys, target, said):
    (ways / "c.json").write_text('{"format": 1, "names": [], "nodes": [], "builders": {}}')
    assert main(["trace", target, "--output", "c.json"]) == 2
    assert said in capsys.readouterr().err
    assert json.loads((ways / "c.json").read_text())["builders"] == {}


def test_an_interpreter_without_torch(ways, capsys):
    bare = [sys.executable, "-m", "venv", "--without-pip", "bare"]
    subprocess.run(bare, check=True)
    assert main(["trace", "ways:frozen", "--python", "bare/bin/python"]) == 2
    assert "tracing needs torch" in capsys.readouterr().err
