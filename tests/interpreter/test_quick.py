"""Loops over hundreds of a model's parameters or modules: what their turns do when they are run quickly, and how little
is done for them. No test here looks at a clock."""

from __future__ import annotations

import sys

import pytest

from headcheck.interpreter import budget, loops, quick
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import label
from headcheck.pipeline import check_text
from tests.reading import PREAMBLE, only, paths, variable, whole

MODEL = "model = models.efficientnet_b7()\n"
TRAINED = MODEL.replace("()", "(weights='DEFAULT')")
MODULES = 1105
PARAMETERS = 711
HEAD = "model.classifier[1] = nn.Linear(2560, 10)\n"
TRAIN = "optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)\n"

# What a loop does, which may end in all kinds of ways.
BODIES = {
    "names": """
        for name, p in model.named_parameters():
            if "classifier" not in name:
                p.requires_grad = False
        """,
    "names at the start": """
        for name, p in model.named_parameters():
            p.requires_grad = name.startswith("classifier") or "features.8" in name
        """,
    "a count": """
        n, thawed = 0, 0
        for p in model.parameters():
            n += 1
            if n < 500:
                p.requires_grad = False
            elif not p.requires_grad == False:
                thawed = thawed + 1
        """,
    "numbers": """
        for i, (name, p) in enumerate(model.named_parameters()):
            if i >= 10 and i != 700:
                continue
            p.requires_grad_(False)
        """,
    "a list": """
        kept, names = [], []
        for name, p in model.named_parameters():
            if "block.0.0" in name:
                kept.append(p)
                names.append(name)
                p.requires_grad = False
        """,
    "classes": """
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.eval()
                m.weight.requires_grad = False
                m.bias.requires_grad = False
            elif isinstance(m, (nn.Conv2d, nn.Linear)) and m.bias is not None:
                nn.init.zeros_(m.bias)
        """,
    "classes of named ones": """
        found = None
        for name, m in model.named_modules():
            if isinstance(m, nn.Dropout):
                m.p = 0.5
                found = name
        """,
    "all of them": """
        classes = set()
        for m in model.modules():
            classes.add(type(m).__name__)
            for p in m.parameters():
                p.requires_grad = False
        """,
    "up to one": """
        for name, p in model.named_parameters():
            if name == "features.5.0.block.0.0.weight":
                break
            p.requires_grad = False
        else:
            model.classifier = None
        """,
    "something unknown": """
        import options
        for name, p in model.named_parameters():
            if options.freeze and "features" in name:
                p.requires_grad = False
            done = name
        """,
    "a function": """
        def freeze(parts, words):
            global last
            for name, p in parts.named_parameters():
                p.requires_grad = any(word in name for word in words)
                last = name
        last = ""
        freeze(model, ["classifier", "features.8"])
        """,
    "an error": """
        for m in model.modules():
            if isinstance(m, nn.Linear):
                m.weigth.requires_grad = False
        """,
}


def told(script: str) -> list:
    """All that executions of a script say of what happened, without where objects are."""
    return [
        (
            [
                (type(event).__name__, label(getattr(event, "value", None)), getattr(event, "result", 0))
                for event in e.history
            ],
            sorted(flag for flag in e.state.flags.values()),
            sorted(path for _, path in e.state.flags),
            {n: variable(e, n) for n in ("n", "thawed", "kept", "names", "found", "classes", "done", "last", "name")},
            e.state.ended,
            e.machine.budget.spent,
        )
        for e in paths(script)
    ]


@pytest.mark.parametrize("body", BODIES)
def test_quick_turns_do_what_the_machine_does(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    script = whole(BODIES[body], MODEL)
    monkeypatch.setattr(quick, "AS_MUCH", 1)
    quickly = told(script)
    monkeypatch.setattr(quick, "turn", lambda machine, block, state: machine.run(block, [state]))
    assert quickly == told(script)
    assert any(history for history, *_ in quickly)


@pytest.mark.parametrize("body", ["classes of named ones", "an error"])
def test_modules_that_pass_are_found_as_if_all_were_asked(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    script = whole(BODIES[body], MODEL)
    (quickly, *_), parts = told(script)[0], addresses(script)
    monkeypatch.setattr(loops, "over_modules", lambda *given: None)
    (slowly, *_), all_parts = told(script)[0], addresses(script)
    assert [event for event in quickly if event[0] != "Taken"] == [event for event in slowly if event[0] != "Taken"]
    assert parts < all_parts == MODULES


def addresses(script: str) -> int:
    return sum(type(thing) is Module for thing in paths(script)[0].state.heap.values())


def test_flags_go_with_the_parts_that_get_an_address() -> None:
    """First the flags of parameters are set, then their modules are gone over."""
    script = """
    for name, p in model.named_parameters():
        if "layer4.1" in name or "0.bn1.bias" in name:
            p.requires_grad = False
    {then}
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    """
    ways = [
        "pass",
        "every = list(model.modules())",
        "for m in model.modules():\n        if isinstance(m, nn.ReLU): m.eval()",
    ]
    model = "model = models.resnet18()\n"
    found = [variable(only(script.format(then=then), preamble=PREAMBLE + model), "frozen") for then in ways]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 10


# -- wrong and right ------------------------------------------------------------------------------------------------

TWINS = {
    "names": ("""
        for name, p in model.named_parameters():
            if "{}" not in name:
                p.requires_grad = False
        """, "classifer", "classifier"),
    "a count": ("""
        count = 0
        for p in model.parameters():
            count += 1
            if count < {}:
                p.requires_grad = False
        """, 10_000, 700),
    "numbers": ("""
        for i, p in enumerate(model.parameters()):
            if i < {}:
                p.requires_grad = False
        """, 10_000, 700),
    "classes": ("""
        for m in model.modules():
            if isinstance(m, ({}nn.Conv2d, nn.BatchNorm2d)):
                for p in m.parameters():
                    p.requires_grad = False
        """, "nn.Linear, ", ""),
    "named classes": ("""
        for name, m in model.named_modules():
            if isinstance(m, ({}nn.Conv2d, nn.BatchNorm2d)):
                m.requires_grad_(False)
        """, "nn.Linear, ", ""),
    "children": ("""
        for i, child in enumerate(model.children()):
            if i < {}:
                for p in child.parameters():
                    p.requires_grad = False
        """, 3, 2),
}  # fmt: skip


@pytest.mark.parametrize("idiom", TWINS)
def test_what_is_left_to_train(idiom: str) -> None:
    loop, wrong, right = TWINS[idiom]
    codes = [
        {
            finding.code
            for finding in check_text(PREAMBLE + TRAINED + HEAD + whole(loop.format(one), "") + TRAIN, "script.py")
        }
        for one in (wrong, right)
    ]
    assert codes[0] and not codes[1]


# -- what it costs --------------------------------------------------------------------------------------------------


def calls(script: str) -> int:
    """How many functions are called for a script; a second time, when all is loaded."""
    only(script)
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        only(script)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("loop", "each"),
    [
        ("for m in model.modules():\n    if isinstance(m, nn.Linear):\n        m.requires_grad_(False)\n", 4),
        ("for m in model.modules():\n    if isinstance(m, nn.BatchNorm2d):\n        m.training\n", 18),
        ("for n, p in model.named_parameters():\n    if 'features' in n:\n        p.requires_grad = False\n", 36),
        ("n = 0\nfor p in model.parameters():\n    n += 1\n    if n < 700:\n        p.requires_grad = False\n", 29),
    ],
)
def test_turns_cost_few_calls(loop: str, each: int) -> None:
    turns = MODULES if "modules" in loop else PARAMETERS
    assert (calls(MODEL + loop) - calls(MODEL)) / turns < each


def test_a_loop_that_there_are_no_steps_for_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    script = whole(BODIES["names"], MODEL)
    whole_loop = only(script)
    assert whole_loop.machine.budget.spent > PARAMETERS and not whole_loop.cut
    monkeypatch.setattr(budget, "MOST_FOR_A_LOOP", 0)
    monkeypatch.setattr(budget, "FOR_MODELS", 0)
    assert all(one.cut and one.machine.budget.spent < PARAMETERS / 4 for one in paths(script))


@pytest.mark.parametrize(("test", "most"), [("name in loaded", loops.MOST_MEETINGS + 1), ("'fc' in name", 0)])
def test_paths_do_not_part_and_meet_on_hundreds_of_turns(test: str, most: int) -> None:
    script = f"""
    loaded = torch.load("weights.pth").keys()
    kept = {{}}
    for name, value in model.state_dict().items():
        if {test}:
            kept[name] = value
        else:
            kept[name] = torch.zeros(1)
    """
    execution = paths(whole(script, MODEL))[0]
    assert execution.machine.met <= most and not execution.cut
