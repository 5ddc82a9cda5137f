"""Paths: what splits one, what joins two, what ends one, and that all of it stays bounded."""

from __future__ import annotations

import time

import pytest

from headcheck import events
from tests.reading import PREAMBLE, UNKNOWN_VALUE, follow, found, only, paths, plain, raw, read, variable

ARCH = "import sys\narch = sys.argv[1]\n"


def conditions(execution):
    from libcst import Module

    return [(Module([]).code_for_node(node), truth) for node, truth, _ in execution.conditions]


# -- splitting and narrowing -----------------------------------------------------------------------------------------


def test_a_branch_that_touches_no_model_leaves_one_path():
    script = "if unknown:\n    print('a')\n    x = 1\nelse:\n    x = 2\nm = models.resnet18()"
    execution = only(script)
    assert variable(execution, "x") == UNKNOWN_VALUE
    assert execution.conditions == ()


def test_a_branch_that_builds_splits():
    ends = paths("if unknown:\n    m = models.resnet18()\nelse:\n    m = models.resnet34()\nm.fc = nn.Linear(512, 2)")
    assert [variable(e, "m").rsplit(".", 1)[1] for e in ends] == ["resnet18", "resnet34"]
    assert [conditions(e) for e in ends] == [[("unknown", True)], [("unknown", False)]]


def test_paths_that_no_longer_differ_are_one():
    script = """
        m = models.resnet18()
        if unknown:
            size = 512
        else:
            size = 256 * 2
        m.fc = nn.Linear(size, 2)
        """
    assert variable(only(script), "size") == 512


# Of a function that makes a model, all that it is given may matter.
MAKE = "def make(where):\n    m = models.resnet18().to(where)\n    m.fc = nn.Linear(512, 2)\n    return m\n"


@pytest.mark.parametrize(
    "chosen",
    [
        'device = "cuda" if torch.cuda.is_available() else "cpu"',
        'device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")',
        'if torch.cuda.is_available():\n    device = "cuda"\nelse:\n    device = "cpu"',
        'device = "cuda" if unknown else "mps" if unknown.x else "cpu"',
        'class C: pass\nc = C()\nc.device = "cuda" if unknown else "cpu"\ndevice = c.device',
    ],
)
def test_the_device_that_a_machine_has_leaves_one_path(chosen):
    execution = only(f"{MAKE}{chosen}\nm = make(device)")
    assert [event.device for event in execution.of(events.Moved)] == ["accelerator"]
    assert execution.conditions == ()


def test_what_is_asked_of_the_device_that_a_machine_has_splits():
    for test in ('device.type == "cuda"', 'device == torch.device("cuda")', 'str(device) == "cuda"'):
        asked = f"m = make(device)\nif {test}:\n    m.fc = None"
        script = f'{MAKE}device = torch.device("cuda" if unknown else "cpu")\n{asked}'
        assert [truth for execution in paths(script) for _, truth in conditions(execution)] == [True, False], test


def test_two_words_of_which_one_is_no_device_stay_apart():
    assert len(paths(f"{MAKE}word = 'cuda' if unknown else 'resnet'\nm = make(word)")) == 2


def test_the_same_unknown_tested_twice_goes_one_way():
    script = ARCH + "{first}\n    m = models.resnet18()\nelse:\n    m = models.vgg11()\n{second}\n    x = 1\n" \
        "else:\n    x = 2\nm.fc = nn.Linear(512, x)"  # fmt: skip
    for first, second in [
        ("if arch == 'a':", "if arch == 'a':"),
        ("if arch != 'a':", "if arch == 'a':"),
        ("if not arch == 'a':", "if 'a' == arch:"),
        ("if arch in ('a', 'b'):", "if arch in ('a', 'b'):"),
        ("if arch:", "if arch:"),
        ("if arch:", "if not arch:"),
        ("if arch.startswith('r'):", "if arch.startswith('r'):"),
        ("if int(arch) > 3:", "if int(arch) > 3:"),
        ("if arch is None:", "if arch is not None:"),
        ("if unknown.x[0] == 1:", "if unknown.x[0] == 1:"),
    ]:
        ends = paths(script.format(first=first, second=second))
        pairs = {(variable(e, "m").rsplit(".", 1)[1], variable(e, "x")) for e in ends}
        swapped = "not" in second or "!=" in first or "not " in first
        assert pairs == ({("resnet18", 2), ("vgg11", 1)} if swapped else {("resnet18", 1), ("vgg11", 2)}), first


@pytest.mark.parametrize(
    "test, other",
    [("arch == 'a'", "arch == 'b'"), ("arch in ('a', 'b')", "arch == 'c'"), ("arch == 'a'", "arch in ('b', 'c')")],
)
def test_what_one_test_rules_out_is_ruled_out(test, other):
    script = f"{ARCH}if {test}:\n    m = models.resnet18()\n    if {other}:\n        m = models.vgg11()\n"
    assert {variable(e, "m") for e in paths(script)} <= {"torchvision.models.resnet18", UNKNOWN_VALUE}


def test_choices_leave_one_candidate():
    script = """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--arch", choices=["resnet18", "vgg16"])
        args = parser.parse_args()
        if args.arch == "vgg16":
            m = models.vgg16()
        else:
            m = getattr(models, args.arch)()
        """
    assert [variable(e, "m").rsplit(".", 1)[1] for e in paths(script)] == ["vgg16", "resnet18"]


def test_a_model_chosen_by_name_is_known_once_the_name_is():
    for build in ("models.__dict__[arch]()", "getattr(models, arch)(weights=None)", "models.get_model(arch)"):
        script = f"""
            m = {build}
            if arch == "resnet50":
                m.fc = nn.Linear(512, 2)
            elif arch.startswith("vgg"):
                m.classifier[6] = nn.Linear(512, 2)
            """
        assert found(ARCH + script.replace("            ", "")) == [(6, "HC101"), (8, "HC101")], build


# -- failures --------------------------------------------------------------------------------------------------------


def test_a_caught_attribute_error_is_silent():
    script = """
        m = models.vgg16()
        try:
            size = m.fc.in_features
            m.fc = nn.Linear(size, 2)
        except AttributeError:
            size = m.classifier[6].in_features
            m.classifier[6] = nn.Linear(size, 2)
        """
    assert found(script) == []
    assert {variable(e, "size") for e in paths(script)} == {4096}


@pytest.mark.parametrize("kind", ["ValueError", "KeyError", "(KeyError, RuntimeError)"])
def test_an_error_that_is_not_caught_is_reported(kind):
    assert found(f"m = models.vgg16()\ntry:\n    m.fc.in_features\nexcept {kind}:\n    pass") == [(3, "HC202")]


@pytest.mark.parametrize("kind", ["AttributeError", "Exception", "BaseException", "(KeyError, AttributeError)", ""])
def test_an_error_that_is_caught_goes_on(kind):
    script = f"m = models.vgg16()\ntry:\n    m.fc.in_features\nexcept {kind}:\n    x = 1\ny = 2"
    assert found(script) == []
    assert {(variable(e, "x"), variable(e, "y")) for e in paths(script)} == {(1, 2)}


def test_the_path_on_which_a_call_failed_is_doubtful():
    script = "try:\n    m = models.resnet50()\nexcept Exception:\n    m = models.resnet18()\nm.fc = nn.Linear(512, 2)"
    assert [(e.doubtful, variable(e, "m")) for e in follow(script)] == [
        (False, "torchvision.models.resnet50"),
        (True, "torchvision.models.resnet18"),
    ]
    assert found(script) == [(5, "HC101")]
    assert found(script.replace("512", "2048")) == []


@pytest.mark.parametrize(
    "leave",
    ["raise ValueError(arch)", "sys.exit(1)", "exit()", "p.error(arch)", "quit()"],
)
def test_what_ends_a_path(leave):
    script = (
        f"import argparse\np = argparse.ArgumentParser()\n{ARCH}m = models.resnet50()\nif arch != 'a':\n    {leave}\n"
    )
    script += "m.fc = nn.Linear(512, 2)\n"
    (finding,) = read(script).findings
    assert finding.code == "HC101"
    assert [variable(e, "arch") for e in paths(script) if not e.state.ended] == ["a"]


def test_parser_error_ends_a_path():
    script = "import argparse\np = argparse.ArgumentParser()\na = p.parse_args()\np.error('x')\nm = models.resnet51()"
    assert found(script) == []


def test_finally_runs_on_every_way_out():
    script = """
        m = models.resnet50()
        def f():
            try:
                return 1
            finally:
                m.fc = nn.Linear(512, 2)
        f()
        """
    assert found(script) == [(6, "HC101")]


def test_after_what_is_missing_nothing_is_reported():
    assert found("m = models.vgg16()\nm.fc.in_features\nm.classifier[6] = nn.Linear(1, 2)") == [(2, "HC202")]


def test_with_blocks_are_followed():
    assert found("m = models.resnet50()\nwith torch.no_grad(), open('x') as f:\n    m.fc = nn.Linear(512, 2)") == [
        (3, "HC101")
    ]


# -- bounds ----------------------------------------------------------------------------------------------------------


def bounded(script):
    start = time.process_time()
    executions = follow(script)
    assert time.process_time() - start < 20
    return executions


def test_forty_branches_end():
    branches = "".join(f"    if flags[{i}]:\n        m.fc = nn.Linear({i + 1}, 2)\n" for i in range(40))
    executions = bounded(f"def f(flags):\n    m = models.resnet18()\n{branches}    return m\nf(unknown)")
    assert any(e.cut for e in executions)


def test_nested_loops_end():
    loops = "".join(f"{'    ' * i}for x{i} in range(60):\n" for i in range(6))
    executions = bounded(f"m = models.resnet18()\n{loops}{'    ' * 6}m.fc = nn.Linear(x0 + x5, 2)")
    assert all(e.cut for e in executions)
    assert executions[0].machine.budget.skims


def test_recursion_ends():
    for body in ("return f(n - 1)", "return f(f(n))", "return [f(n) for _ in range(50)]", "m.fc = nn.Linear(n, f(n))"):
        bounded(f"m = models.resnet18()\ndef f(n):\n    {body}\nf(unknown)")
    bounded(
        "class A:\n    @property\n    def x(self): return self.x\n    def __call__(self): return self()\n"
        "a = A()\na.x\na()"
    )
    bounded("def a(): return b()\ndef b(): return a()\na()\nm = models.resnet18()")


def test_growing_values_are_bounded():
    bounded("x = [1]\nm = models.resnet18()\nfor i in range(60):\n    x = x + x\nm.fc = nn.Linear(x[0], 2)")


def test_modules_that_hold_themselves_end():
    bounded("m = models.resnet18()\nm.fc = m\nm.layer1.x = m\nm.requires_grad_(False)\nprint(list(m.parameters()))")
    bounded("s = nn.Sequential()\ns.append(s)\nm = models.resnet18()\nm.fc = s\nprint(m)")


# -- what happened ---------------------------------------------------------------------------------------------------


def names(execution):
    return [type(event).__name__ for event in execution.history]


def test_events_in_order():
    execution = only(
        """
        m = models.resnet18()
        for p in m.parameters():
            p.requires_grad = False
        m.fc = nn.Linear(m.fc.in_features, 2)
        m.cuda()
        m.eval()
        o = torch.optim.SGD(m.fc.parameters(), lr=0.1)
        y = m(torch.zeros(1))
        unknown(m)
        """
    )
    assert names(execution) == ["Built", "Flagged", "Taken", "Created", "ChildSet", "Moved", "ModeSet", "Optimized",
                                "Called", "Escaped"]  # fmt: skip
    (made,) = execution.of(events.Optimized)
    assert [p.path for p in made.parameters] == ["weight", "bias"]
    assert plain(execution, made.keywords["lr"]) == 0.1


def test_what_escapes():
    for line in ("unknown(m)", "unknown(x=m)", "unknown([m])", "unknown({'a': m})", "unknown.f(m.parameters())",
                 "unknown(m.forward)", "m.apply(unknown)", "unknown((1, (m,)))"):  # fmt: skip
        execution = only(f"m = models.resnet18()\n{line}")
        assert execution.escaped(raw(execution, "m").address), line
    for line in ("print(m)", "len(m.layer1)", "torch.save(m, 'x')", "m.state_dict()", "torch.zeros(m.fc.in_features)"):
        execution = only(f"m = models.resnet18()\n{line}")
        assert not execution.escaped(raw(execution, "m").address), line


def test_the_preamble_is_what_rows_are_counted_from():
    assert PREAMBLE.count("\n") == 3


def test_a_list_that_another_turn_of_the_loop_grows_is_not_empty():
    script = """
        class Stages(nn.Module):
            def __init__(self, depths, size):
                super().__init__()
                self.first = nn.ModuleList()
                self.second = nn.ModuleList()
                for i in range(len(depths)):
                    layer = nn.Conv2d(3, size, 1)
                    if i == 0:
                        self.first.append(layer)
                    elif i == 1:
                        self.second.append(layer)

            def forward(self, x):
                return self.second[0](self.first[0](x))
    """
    assert found(script) == []


def test_an_attribute_may_come_from_code_that_is_not_followed():
    script = """
        from engines import compile_for
        net = nn.Sequential(nn.PReLU(), nn.PReLU())
        compile_for(net)
        print(net._compiled.engine)
    """
    assert found(script) == []


def test_what_was_read_of_something_unknown_stays_what_it_was():
    script = """
        class SimSiam(nn.Module):
            def __init__(self, encoder):
                super().__init__()
                self.encoder = encoder
                size = self.encoder.fc.weight.shape[1]
                self.encoder.fc = nn.Sequential(nn.Linear(size, size), nn.ReLU(), self.encoder.fc)
                self.encoder.fc[2].bias.requires_grad = False
    """
    assert found(script) == []


def test_a_member_of_another_library_by_an_open_name_is_no_model():
    script = """
        import sys
        model = models.resnet18()
        model.fc = nn.Linear(512, 3)
        loss = getattr(nn, sys.argv[1])()
        optimizer = getattr(torch.optim, sys.argv[2])(model.layer1.parameters(), lr=0.1)
        print(loss.reduction, optimizer.defaults)
    """
    assert found(script) == []


def test_a_stand_in_for_a_layer_need_not_have_all_of_it():
    script = """
        class Block(nn.Module):
            def __init__(self, ratio):
                super().__init__()
                if ratio > 0:
                    self.gate = Gate()
                else:
                    self.gate = nn.Identity()

            def complexity(self):
                return self.gate.complexity()

        class Gate(nn.Module):
            def complexity(self):
                return 1
    """
    assert found(script) == []


@pytest.mark.parametrize(
    "context", ["pytest.raises(AttributeError)", "pytest.raises(Exception, match='no') as error", "raises(IndexError)"]
)
def test_a_failure_that_a_test_asks_for(context):
    script = f"""
    import pytest
    from pytest import raises
    m = models.resnet18()
    with {context}:
        m.classifier.in_features
    m.fc = nn.Linear(7, 3)
    """
    assert found(script) == [(6, "HC101")]


def test_a_failure_that_a_test_case_asks_for():
    script = """
    import unittest
    class Heads(unittest.TestCase):
        def test_other(self):
            m = models.resnet18()
            with self.assertRaises(AttributeError):
                m.classifier.in_features
            with self.subTest("as it is"):
                m.classifier.in_features
    """
    assert found(script) == [(8, "HC202")]


@pytest.mark.parametrize(("hook", "missing"), [("", True), ("hook = syft.TorchHook(torch)", False)])
def test_code_that_is_given_torch_itself_may_add_to_its_modules(hook, missing):
    script = f"""
    import syft
    import torch
    {hook or "pass"}
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 2)
    net = Net()
    net.send(worker)
    """
    assert found(script) == ([(9, "HC202")] if missing else [])


def test_what_is_missing_by_default_is_no_layer():
    script = """
    def last(model):
        if isinstance(getattr(model, "fusion", None), nn.Linear):
            return model.fusion
        return model.classifier[-1]
    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            backbone = models.convnext_tiny()
            self.features = backbone.features
            self.fusion = nn.Linear(last(backbone).in_features + 3, 1)
    net = Fused()
    """
    assert found(script) == []


def test_a_stack_that_is_filled_by_an_unknown_number_of_layers():
    script = """
    class Layer(nn.Sequential):
        def __init__(self, count, size):
            layers = [nn.Conv2d(size, size, 3)]
            for _ in range(1, count):
                layers.append(nn.Conv2d(size, size, 3))
            super().__init__(*layers)
    def width(count):
        return Layer(count, 8)[-1].out_channels
    """
    assert found(script) == []


def test_a_model_is_no_number():
    script = """
    def build(arch):
        table = {"vgg13": models.vgg13(), "alexnet": models.alexnet()}
        model = table.get(arch, 0)
        if model == 0:
            model = models.vgg16()
        if arch == "alexnet":
            return model.classifier[1].in_features
        return model.classifier[0].in_features
    """
    assert found(script) == []


@pytest.mark.parametrize("wrapper", ["nn.DataParallel", "nn.parallel.DataParallel"])
def test_a_wrapper_by_its_type(wrapper):
    script = f"""
    m = {wrapper}(models.resnet18())
    if type(m) in (nn.parallel.DataParallel, nn.parallel.DistributedDataParallel):
        m = m.module
    m.fc = nn.Linear(512, 3)
    """
    assert found(script) == []
