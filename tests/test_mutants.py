"""Faults put into right scripts are found, and changes that are no faults are left alone.

`python -m tests.mutants --all` asks about every change, and prints what is missed.
"""

import importlib.util
import random

import pytest

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("PyTorch is the judge", allow_module_level=True)

from tests.mutants.clean import scripts
from tests.mutants.recall import all_mutants, answer, findings

SCRIPTS, EACH = 20, 5  # of some 3,400; a mutant takes about a quarter of a second
RECALL = 0.95


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.name)
def test_nothing_is_found_in_a_clean_script(script):
    assert findings(script.text) == ()


@pytest.fixture(scope="module")
def answers():
    """What PyTorch and headcheck say of some mutants of some of the scripts that PyTorch runs quickly."""
    chance = random.Random(0)
    quick = [script for script in scripts() if not script.name.startswith(("detection", "segmentation"))]
    mutants = [m for script in chance.sample(quick, SCRIPTS) for m in chance.sample(all_mutants(script), EACH)]
    return [answer(mutant) for mutant in mutants]


def test_no_change_that_is_right_is_flagged(answers):
    assert [str(one) for one in answers if one.kind == "false alarm"] == []


def test_most_faults_are_found(answers):
    wrong = [one for one in answers if one.kind in ("found", "miss")]
    missed = [str(one) for one in wrong if one.kind == "miss"]
    assert len(missed) <= (1 - RECALL) * len(wrong), missed
