"""The questions that checks ask of an execution."""

from __future__ import annotations

from headcheck.interpreter.values import Ref
from tests.reading import follow, only, raw


def asked(script):
    execution = only(script)
    return execution, execution.models[0]


def test_models_are_those_whose_structure_is_known():
    execution = only(
        "a = models.resnet18()\nb = models.vgg11()\nc = models.resnet18(norm_layer=unknown)\nd = unknown()"
    )
    assert [m.entry.builder.rsplit(".", 1)[1] for m in execution.models] == ["resnet18", "vgg11"]


def test_parts_places_and_kinds():
    execution, model = asked(
        "m = models.vgg11()\nm.classifier[6] = nn.Linear(4096, 2)\nold = m.features[0]\nm.x = None"
    )
    head = execution.part(model, "classifier.6")
    assert execution.kind(head) == "torch.nn.Linear"
    assert (execution.field(head, "in_features"), execution.field(head, "out_features")) == (4096, 2)
    assert execution.is_new(head) and not execution.is_new(raw(execution, "old"))
    assert execution.was_at(raw(execution, "old").address) == (model, "features.0")
    assert execution.part(model, "classifier.9") is None
    assert execution.part(model, "") == model.ref
    assert list(execution.edited_places(model, "classifier.6")) == ["classifier", "classifier.6"]
    assert not execution.is_edited(execution.part(model, "features"))
    assert execution.exists(model, "avgpool") and not execution.exists(model, "fc")
    assert "torch.nn.Dropout" in execution.kinds_in(execution.part(model, "classifier"))


def test_what_was_replaced_remembers_its_place():
    execution, model = asked("m = models.resnet18()\nold = m.fc\nm.fc = nn.Linear(512, 2)")
    old = raw(execution, "old")
    assert not execution.is_placed(old.address)
    assert execution.owner_of(old.address) == model
    assert execution.replacement(model, "fc").how == "attribute"
    assert execution.replacement(model, "layer1") is None


def test_shapes_that_arrive():
    execution, model = asked("m = models.vgg11()")
    assert execution.arriving(model, "classifier") == (25088,)
    for line, kept in [
        ("m.features[0] = nn.Conv2d(1, 64, 3, padding=1)", True),
        ("m.features[1] = nn.GELU()", True),
        ("m.avgpool = nn.AdaptiveAvgPool2d(7)", True),
        ("m.avgpool = nn.AdaptiveAvgPool2d((7, 7))", True),
        ("m.features[0] = nn.Conv2d(3, 32, 3)", False),
        ("m.avgpool = unknown()", False),
        ("m.features.append(nn.ReLU())", False),
    ]:
        execution, model = asked(f"m = models.vgg11()\n{line}")
        assert (execution.arriving(model, "classifier") is not None) is kept, line
    execution, model = asked("m = models.vgg11()\nm.avgpool = nn.AdaptiveAvgPool2d(1)")
    assert execution.arriving(model, "classifier") == (512,)


def test_a_flow_stops_at_the_first_that_disagrees():
    execution, model = asked(
        "m = models.resnet18()\nh = nn.Sequential(nn.Dropout(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(32, 2))\n"
        "m.fc = h"
    )
    flow = execution.flow(raw(execution, "h"), (512,), "fc")
    assert flow.mismatch is not None and flow.at is not None and flow.sized is not None
    assert (flow.mismatch.takes, flow.mismatch.gets, flow.at.path, flow.sized.path) == (32, (64,), "fc.3", "fc.1")
    assert execution.flow(raw(execution, "h"), None).shape is None
    good = execution.flow(execution.part(model, "layer1"), (64, 56, 56))
    assert good.mismatch is None


def test_whose_forward_it_is():
    for line, librarys in [
        ("m(x)", True),
        ("m.eval()", True),
        ("m.fc(x)", False),
        ("m.forward = f", False),
        ("n = nn.Sequential(m, nn.ReLU())", True),
        ("n = nn.Sequential(m.layer1)", False),
        ("m.register_forward_hook(f)", False),
    ]:
        execution, model = asked(f"m = models.resnet18()\n{line}")
        assert execution.forward_is_the_librarys(model) is librarys, line


def test_optimizers():
    execution, model = asked("m = models.resnet18()\no = torch.optim.SGD([{'params': m.fc.parameters()}], lr=1)")
    ((event, held),) = execution.optimizers()
    assert (event.kind, len(held.parameters), held.complete) == ("torch.optim.SGD", 2, True)
    assert execution.optimized(execution.part(model, "fc")) is True
    assert [execution.path_of(model, p) for p in held.parameters] == ["fc.weight", "fc.bias"]
    execution, model = asked("m = models.resnet18()\no = torch.optim.SGD(unknown, lr=1)\nm.fc")
    assert execution.optimized(execution.part(model, "fc")) is None
    execution, model = asked("m = models.resnet18()\nm.fc")
    assert execution.optimized(execution.part(model, "fc")) is False


def test_frozen_and_meant_to_learn():
    execution, model = asked("m = models.resnet18()\nm.layer1.requires_grad_(False)\nm.relu")
    assert execution.frozen(raw_part(execution, model, "layer1"))
    assert not execution.frozen(model.ref)
    assert not execution.frozen(raw_part(execution, model, "relu"))  # it has no parameters
    assert execution.meant_to_learn(model)
    for line in ("m.eval()", "m.load_state_dict(s)"):
        execution, model = asked(f"m = models.resnet18()\n{line}")
        assert not execution.meant_to_learn(model), line
    execution, model = asked("m = models.resnet18()\nm.eval()\nm.train()")
    assert execution.meant_to_learn(model)


def raw_part(execution, model, path):
    part = execution.part(model, path)
    assert type(part) is Ref
    return part


def test_holders_and_escapes():
    execution, model = asked(
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = models.resnet18()
        net = Net()
        train(net)
        """
    )
    assert raw(execution, "net").address in execution.holders(model.ref.address)
    assert execution.escaped(model.ref.address)
    assert execution.name_of(model.ref) == "self.body"


def test_a_network_whose_forward_was_not_followed_may_use_its_parts_in_any_way():
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = models.resnet18()
            self.backbone.fc = nn.Sequential()

        def forward(self, x):
            return self.backbone(x)

    net = Net()
    """
    execution = next(e for e in follow(text) if e.models)
    assert execution.forward_is_the_librarys(execution.models[0])
    execution = next(e for e in follow(text) if e.models)
    execution.machine.called.clear()  # as where a limit was met on the way
    assert not execution.forward_is_the_librarys(execution.models[0])
