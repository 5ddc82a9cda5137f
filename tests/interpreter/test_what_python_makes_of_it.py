"""Scripts that come to a number in many ways: what Python makes of it is the size of a head, and no other number is."""

from __future__ import annotations

import textwrap

import pytest

from tests.reading import found

HEAD = "model = models.resnet18(weights=None)\nmodel.fc = nn.Linear({}, 3)\n"
FOUND = """
depth = 18
n = 512 if 10 <= depth < 50 else 2048
---
depth = 18
if 20 < depth <= 34 or depth < 18:
    n = 2048
else:
    n = 512
---
depth = 18
match depth:
    case d if d >= 50:
        n = 2048
    case d if d < 50:
        n = 512
---
name = "resnet18"
match name:
    case s if s.startswith("dense"):
        n = 1024
    case _:
        n = 512
---
n = 512 if (1, 13, 1) >= (1, 10) else 1
---
n = 512 if [3, 4, 6, 3] == [3, 4, 6, 3] != [2, 2] else 1
---
n = 512 if {"a": 1, "b": 2} == {"b": 2, "a": 1} else 1
---
n = len(set(["a", "b", "a"])) + 510
---
seen = set()
for x in (1, 1, 2):
    seen.add(x)
n = len(sorted(seen)) + 510
---
n = len({c for c in "aab"}) + 510
---
class Twice:
    def __init__(self, function):
        self.function = function
    def __call__(self, x):
        return self.function(x) * 2
@Twice
def size(x):
    return x
n = size(256)
---
class Times:
    def __init__(self, by):
        self.by = by
    def __call__(self, function):
        return lambda x: function(x) * self.by
@Times(4)
def size(x):
    return x
n = size(128)
---
class Settings:
    size, other = 512, 1
setattr(Settings, "other", 3)
n = Settings.size
---
sizes = []
def add(v):
    sizes.append(v)
for call in (add,):
    call(512)
n = sizes[-1]
---
n = 1
def change():
    global n
    n = 512
for call in [change]:
    call()
"""
SILENT = """
import random
n = 1
def change():
    global n
    n = 512
if random.random() < 2:
    change()
---
import random
sizes = {"n": 1}
class Changes:
    def run(self):
        sizes["n"] = 512
if random.random() < 2:
    Changes().run()
n = sizes["n"]
---
import random
n = 1
class Changes:
    def run(self):
        global n
        n = 512
one = Changes()
if random.random() < 2:
    one.run()
---
import random
class Sizes:
    n = 1
sizes, more = Sizes(), [1]
def change():
    global more
    setattr(sizes, "n", 510)
    more += [2]
if random.random() < 2:
    change()
n = sizes.n + len(more)
---
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=1)
n = parser.parse_args(["--size", "512"]).size
---
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("-s", "--size", type=int, default=1)
n = parser.parse_known_args("-s 512".split())[0].size
---
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=1)
n = parser.parse_args([], namespace=argparse.Namespace(size=512)).size
---
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=1)
parser.set_defaults(**json.loads('{"size": 512}'))
n = parser.parse_args([]).size
---
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=1)
args = parser.parse_args([])
vars(args).update(json.loads('{"size": 512}'))
n = args.size
---
import json
class Settings:
    size = 1
    @classmethod
    def load(cls, found):
        for name, value in found.items():
            setattr(cls, name, value)
Settings.load(json.loads('{"size": 512}'))
n = Settings.size
---
class Settings:
    size = 1
    @classmethod
    def load(cls, **found):
        for name in found:
            setattr(cls, name, found[name])
Settings.load(size=512)
n = Settings().size
---
import argparse
args = argparse.Namespace(size=1)
vars(args)["size"] = 512
n = args.size
"""


def scripts(text):
    return [part.strip("\n") for part in text.split("---")]


def makes(script):
    variables = {"__name__": "script"}
    exec(compile(script, "script", "exec"), variables)
    return variables["n"]


@pytest.mark.parametrize("script", scripts(FOUND))
def test_a_number_that_is_known(script):
    assert makes(script) == 512
    assert found(f"{script}\n{HEAD.format('n')}") == []
    assert [code for _, code in found(f"{script}\n{HEAD.format('n + 1')}")] == ["HC101"]


@pytest.mark.parametrize("script", scripts(SILENT))
def test_a_number_that_is_not_known(script):
    assert makes(script) == 512
    assert found(f"{script}\n{HEAD.format('n')}") == []


def test_arguments_that_a_command_line_does_not_name_are_at_their_defaults():
    text = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    n = parser.parse_args(["--batch", "32"]).size
    """
    assert [code for _, code in found(textwrap.dedent(text) + HEAD.format("n"))] == ["HC101"]
    assert [code for _, code in found(textwrap.dedent(text).replace('"--batch", "32"', "") + HEAD.format("n"))] == [
        "HC101"
    ]
