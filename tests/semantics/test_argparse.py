"""What a script knows of its command line: defaults, choices, parents and sub-parsers."""

from __future__ import annotations

import textwrap

import pytest

from headcheck import pipeline

START = """
    import argparse
    from torch import nn
    from torchvision import models
    parser = argparse.ArgumentParser()
    """
END = """
    model = models.get_model(args.arch)
    model.fc = nn.Linear(512, 10)
    """


def found(lines: str) -> list[str]:
    script = textwrap.dedent(START) + textwrap.dedent(lines) + textwrap.dedent(END)
    return [finding.code for finding in pipeline.check_text(script, "train.py")]


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        ("parser.add_argument('--arch', default='resnet50')", ["HC101"]),
        ("parser.add_argument('--arch', default='resnet18')", []),
        ("parser.add_subparsers().add_parser('train').add_argument('--arch', default='resnet50')", ["HC101"]),
        ("parser.add_subparsers().add_parser('train').add_argument('--arch', default='resnet18')", []),
        ("below = parser.add_subparsers()\nbelow.add_parser('a').add_argument('--arch', default='resnet50')\n"
         "below.add_parser('b').add_argument('--arch', default='resnet50')", ["HC101"]),
    ],
)  # fmt: skip
def test_a_default(lines: str, codes: list[str]) -> None:
    assert found(f"{lines}\nargs = parser.parse_args()") == codes


def test_two_commands_that_have_an_argument_each_in_its_own_way() -> None:
    lines = """
        below = parser.add_subparsers(dest='command')
        below.add_parser('train').add_argument('--arch', default='resnet50')
        below.add_parser('serve').add_argument('--arch', default='resnet18')
        args = parser.parse_args()
        """
    assert found(lines) == []


@pytest.mark.parametrize(
    "given", ["pl.Trainer.add_argparse_args(parser)", "pl.LightningDataModule.add_argparse_args(parser)"]
)
def test_a_parser_that_a_trainer_adds_its_options_to(given: str) -> None:
    lines = f"import pytorch_lightning as pl\nparser = {given}\nparser.add_argument('--arch', default='{{}}')"
    for arch, codes in {"resnet50": ["HC101"], "resnet18": []}.items():
        assert found(lines.format(arch) + "\nargs = parser.parse_args()\nargs.max_epochs + 1") == codes


def test_arguments_of_a_parent() -> None:
    lines = """
        parser.add_argument('--arch', default='resnet50')
        args = argparse.ArgumentParser(parents=[parser]).parse_args()
        """
    assert found(lines) == ["HC101"]


@pytest.mark.parametrize("build", ["timm.create_model(args.arch)", "models.get_model(args.arch)"])
def test_a_default_that_stands_for_what_is_to_be_given(build: str) -> None:
    lines = f"import timm\nparser.add_argument('--arch', default='')\nargs = parser.parse_args()\nmodel = {build}\n"
    script = textwrap.dedent(START) + lines
    assert [finding.code for finding in pipeline.check_text(script, "train.py")] == []
    misspelt = script.replace("default=''", "default='resnet5O'")
    assert [finding.code for finding in pipeline.check_text(misspelt, "train.py")] == ["HC205"]
