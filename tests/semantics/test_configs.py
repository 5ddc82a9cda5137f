"""Settings: objects that hold them, and the defaults of command lines, of fields and of the environment."""

from __future__ import annotations

import pytest

from tests.reading import follow, found, only, paths, variable

HEAD = "m.fc = nn.Linear(7, 3)\n"


def built(script, defaults):
    runs = [e for e in follow(script) if e.defaults is defaults and not e.doubtful]
    return {m.entry.builder.rsplit(".", 1)[-1] for e in runs for m in e.models}


@pytest.mark.parametrize(
    "settings",
    [
        "from types import SimpleNamespace\ncfg = SimpleNamespace(arch='resnet18', n=3)",
        "from argparse import Namespace\ncfg = Namespace(arch='resnet18')\ncfg.n = 3",
        "from easydict import EasyDict as edict\ncfg = edict({'arch': 'resnet18', 'n': 3})",
        "from easydict import EasyDict as edict\ncfg = edict()\ncfg.arch = 'resnet18'\ncfg.n = 3",
        "from omegaconf import OmegaConf\ncfg = OmegaConf.create({'m': {'arch': 'resnet18', 'n': 3}}).m",
        "from dataclasses import dataclass, field\n@dataclass\nclass C:\n    arch: str = 'resnet18'\n"
        "    n: int = field(default=3)\ncfg = C()",
        "import attr\n@attr.s(auto_attribs=True)\nclass C:\n    arch: str = 'resnet18'\n"
        "    n: int = attr.ib(3)\ncfg = C()",
        "from pydantic import BaseModel, Field\nclass C(BaseModel):\n    arch: str = 'resnet18'\n"
        "    n: int = Field(3, gt=0)\ncfg = C()",
    ],
)
def test_what_an_object_of_settings_holds(settings):
    execution = only(f"{settings}\nm = getattr(models, cfg.arch)()\nn = cfg.n")
    assert variable(execution, "m") == "torchvision.models.resnet18"
    assert variable(execution, "n") == 3


def test_entries_and_attributes_are_the_same():
    script = "from easydict import EasyDict\ncfg = EasyDict(m={'n': 1})\ncfg.k = 2\nx, y = cfg['m']['n'], cfg['k']"
    script = script.replace("m={'n': 1}", "{'m': {'n': 1}}")
    assert (variable(only(script), "x"), variable(only(script), "y")) == (1, 2)


def test_a_list_that_a_field_makes():
    script = """
    from dataclasses import dataclass, field
    @dataclass
    class C:
        sizes: list = field(default_factory=lambda: [64, 10])
    x = C().sizes[1]
    """
    assert variable(only(script), "x") == 10


CLICK = """
import click
@click.command()
@click.option("--arch", "-a", {more})
def main(arch):
    m = getattr(models, arch)()
    m.fc = nn.Linear(7, 3)
main()
"""


def test_the_options_of_a_command():
    script = CLICK.format(more='default="resnet18"')
    assert "resnet50" in built(script, False)
    assert built(script, True) == {"resnet18"}
    assert built(CLICK.format(more='type=click.Choice(["resnet18", "resnet34"])'), False) == {"resnet18", "resnet34"}


def test_the_options_of_typer():
    script = """
    import typer
    app = typer.Typer()
    @app.command()
    def main(arch: str = typer.Option("resnet18", help="which")):
        m = getattr(models, arch)()
        m.fc = nn.Linear(7, 3)
    app()
    """
    assert "resnet50" in built(script, False)
    assert built(script, True) == {"resnet18"}


@pytest.mark.parametrize("call", ["os.environ.get('ARCH', 'resnet18')", "os.getenv('ARCH', 'resnet18')"])
def test_the_environment(call):
    script = f"import os\nm = getattr(models, {call})()\n{HEAD}"
    assert "resnet50" in built(script, False)
    assert built(script, True) == {"resnet18"}


def test_members_of_an_enum():
    script = """
    from enum import Enum
    class Arch(str, Enum):
        small = "resnet18"
    m = getattr(models, Arch.small.value)()
    """
    assert variable(only(script), "m") == "torchvision.models.resnet18"


# -- registries ------------------------------------------------------------------------------------------------------

REGISTRY = """
import sys
{registry}
@{register}
def small(n):
    return models.resnet18()
@{register}
class Large(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.net = models.resnet50()
m = {look_up}(10)
"""
BY_NAME = """
NETS = {}
def register(fn):
    NETS[fn.__name__] = fn
    return fn
"""
OBJECT = """
class Registry:
    def __init__(self):
        self._items = {}
    def register(self, obj=None, name=None):
        if obj is None:
            def decorate(fn):
                self._items[name or fn.__name__] = fn
                return fn
            return decorate
        self._items[obj.__name__] = obj
        return obj
    def get(self, name):
        return self._items[name]
NETS = Registry()
"""


@pytest.mark.parametrize(
    ("registry", "register", "look_up"),
    [
        (BY_NAME, "register", "NETS[sys.argv[1]]"),
        (OBJECT, "NETS.register", "NETS.get(sys.argv[1])"),
        (OBJECT, "NETS.register()", "NETS.get(sys.argv[1])"),
    ],
)
def test_what_a_decorator_registers(registry, register, look_up):
    script = REGISTRY.format(registry=registry, register=register, look_up=look_up)
    assert {variable(e, "m") for e in paths(script)} == {"torchvision.models.resnet18", "script"}


def test_keywords_that_a_branch_puts_into_a_dict():
    script = """
    import sys
    keywords = {}
    if len(sys.argv) > 1:
        keywords["weights"] = "DEFAULT"
    else:
        keywords["pretrained"] = True
    m = models.resnet18(**keywords)
    m.fc = nn.Linear(512, 3)
    """
    assert found(script) == []
    assert {variable(e, "m") for e in paths(script)} == {"torchvision.models.resnet18"}
    assert {e.models[0].module.build.weights for e in paths(script)} == {"DEFAULT", True}


YACS = """
from yacs.config import CfgNode as CN
defaults = CN()
defaults.MODEL = CN()
defaults.MODEL.SIZE = 7
cfg = defaults.clone()
{}
cfg.freeze()
defaults.MODEL.SIZE = 9
n = cfg.MODEL.SIZE
"""


def test_settings_are_copied():
    assert variable(only(YACS.format("")), "n") == 7


@pytest.mark.parametrize("merged, at_defaults", [("merge_from_list(options)", True), ("merge_from_file(path)", False)])
def test_settings_of_the_user_take_the_place_of_defaults(merged, at_defaults):
    """Options may be left out; a file that is always read has numbers of its own."""
    script = YACS.format(f"cfg.{merged}") + "m = models.resnet18()\nm.fc = nn.Linear(n, 3)\n"
    known = {e.defaults: variable(e, "n") for e in follow(script) if not e.doubtful}
    assert (known[True] == 7) == at_defaults and known[False] != 7
