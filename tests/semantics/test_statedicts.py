"""State dicts of the library's weights and of models: what is known of them, and what of them is loaded."""

from __future__ import annotations

import pytest

from headcheck import analysis, catalog
from headcheck.interpreter.modules import ROOT
from headcheck.semantics import statedicts
from tests.reading import PREAMBLE, follow, found

HEAD = """
model = models.resnet18()
model.fc = nn.Linear(512, 5)
state = models.ResNet18_Weights.DEFAULT.get_state_dict(progress=False)
"""
IN_STEPS = PREAMBLE + "import copy\nfrom collections import OrderedDict\n"


def codes(script, head=HEAD):
    return [code for _, code in found(head + script, IN_STEPS)]


@pytest.mark.parametrize(
    "script",
    [
        "model.load_state_dict(state)",
        "model.load_state_dict(state, strict=False)",
        "model.load_state_dict(state, strict=args.strict)",
        "model.load_state_dict(copy.deepcopy(state), False)",
        "model.load_state_dict(dict(state))",
        "state.pop('fc.bias')\nmodel.load_state_dict(state, strict=False)",
        "del state['fc.bias']\nmodel.load_state_dict(state, strict=False)",
        "state = {k: v for k, v in state.items() if k != 'fc.bias'}\nmodel.load_state_dict(state, strict=False)",
        "own = model.state_dict()\nmodel.load_state_dict({k: v for k, v in state.items() if k in own}, strict=False)",
        "kept = OrderedDict()\n"
        "for key in state:\n"
        "    if 'classifier' not in key:\n"
        "        kept[key] = state[key]\n"
        "model.load_state_dict(kept, strict=False)",
        "for key in list(state.keys()):\n"
        "    if key.startswith('head.'):\n"
        "        del state[key]\n"
        "model.load_state_dict(state, strict=False)",
        "del state['fc.weight'], state['fc.bias']\nmodel.load_state_dict(state)",  # all names must be there
        "model.load_state_dict(models.resnet18(weights='DEFAULT').state_dict(), strict=False)",
        "other = models.resnet18()\nother.fc = nn.Linear(512, 4)\nother.load_state_dict(model.state_dict())",
        "own = model.state_dict()\nfor k in own:\n    own[k] = state[k]\nmodel.load_state_dict(own)",
        "del state['head.weight']",
        "own = models.resnet18().state_dict()\nown.pop('fc.bias')\nmodel.load_state_dict(own, strict=False)",
        "own = model.state_dict()\ndel own['fc.bias']\nmodel.load_state_dict(own)",
        "net = nn.Sequential(model)\nnet.load_state_dict(state, strict=False)",  # names that nothing has
    ],
)
def test_what_does_not_fit_is_found(script):
    assert codes(script) == ["HC405"]


@pytest.mark.parametrize(
    ("script", "instead"),
    [
        ("del state['fc.bias']\nmodel.load_state_dict(state)", "strict=False"),
        ("net = nn.Sequential(model)\nnet.load_state_dict(state)", "load them into `0`"),
        ("model.load_state_dict(models.vgg11().state_dict())", ""),
    ],
)
def test_weights_none_of_which_fit_are_not_let_through(script, instead):
    head = HEAD.replace("model.fc = nn.Linear(512, 5)", "")
    (finding,) = analysis.analyse(IN_STEPS + head + script, "script.py").findings
    assert (finding.code, finding.help) == ("HC405", instead)


@pytest.mark.parametrize(
    "script",
    [
        "state.pop('fc.weight')\nstate.pop('fc.bias')\nmodel.load_state_dict(state, strict=False)",
        "del state['fc.weight'], state['fc.bias']\nmodel.load_state_dict(state, strict=args.strict)",
        "state = {k: v for k, v in state.items() if not k.startswith('fc.')}\n"
        "model.load_state_dict(state, strict=False)",
        "state = {k: v for k, v in state.items() if 'fc' not in k}\nmodel.load_state_dict(state, False)",
        "own = model.state_dict()\n"
        "fits = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}\n"
        "model.load_state_dict(fits, strict=False)",
        "own = model.state_dict()\n"
        "fits = {k: v for k, v in state.items() if k in own and v.size() == own[k].size()}\n"
        "own.update(fits)\n"
        "model.load_state_dict(own)",
        "for key in list(state.keys()):\n"
        "    if key.startswith('fc.'):\n"
        "        del state[key]\n"
        "model.load_state_dict(state, strict=False)",
        "for key in unwanted:\n    del state[key]\nmodel.load_state_dict(state, strict=False)",
        "for key in unwanted:\n    state.pop(key)\nmodel.load_state_dict(state, strict=False)",
        "state['fc.weight'], state['fc.bias'] = model.fc.weight, model.fc.bias\nmodel.load_state_dict(state)",
        "state['fc.weight'] = state['fc.weight'][:5]\nstate['fc.bias'] = state['fc.bias'][:5]\n"
        "model.load_state_dict(state)",
        "adapt(state)\nmodel.load_state_dict(state)",
        "state = adapt(state)\nmodel.load_state_dict(state)",
        "state = {k.replace('fc.', 'head.'): v for k, v in state.items()}\nmodel.load_state_dict(state, strict=False)",
        "try:\n    model.load_state_dict(state)\nexcept RuntimeError:\n    print('no weights')",
        "model.load_state_dict(torch.load('mine.pth'))",
        "model.load_state_dict(torch.load('mine.pth')['model'], strict=False)",
        "model.load_state_dict(model.state_dict())",
        "best = copy.deepcopy(model.state_dict())\nmodel.load_state_dict(best)",
        "before = model.state_dict()\nmodel.fc = nn.Linear(512, 6)\nmodel.load_state_dict(before)",  # taken when?
        "model.fc = nn.Linear(512, n)\nmodel.load_state_dict(state)",
        "model.fc = nn.Linear(512, 1000)\nmodel.load_state_dict(state)",
        "model = models.resnet18(num_classes=n)\nmodel.load_state_dict(state)",
        "state.clear()\nmodel.load_state_dict(state, strict=False)",
        "try:\n    del state['head.weight']\nexcept KeyError:\n    pass",
        "state.pop('head.weight', None)",
        "own = model.state_dict()\nown.pop('fc.bias')\nmodel.load_state_dict(own, strict=False)",
        "model.layer4.load_state_dict(models.resnet18(weights='DEFAULT').layer4.state_dict())",
    ],
)
def test_what_fits_or_is_not_known_is_left_alone(script):
    assert codes(script) == []


@pytest.mark.parametrize(
    "url, builder",
    [
        ("https://download.pytorch.org/models/resnet50-19c8e357.pth", "resnet50"),
        ("https://download.pytorch.org/models/vgg16_bn-6c64b313.pth", "vgg16_bn"),
        ("https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth", "inception_v3"),
        ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "alexnet"),
        ("https://download.pytorch.org/models/mnasnet1.0_top1_73.512-f206786ef8.pth", "mnasnet1_0"),
        ("https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", "fasterrcnn_resnet50_fpn"),
        ("https://download.pytorch.org/models/vit_b_16_swag-9ac1b537.pth", None),
        ("https://download.pytorch.org/models/quantized/resnet18_fbgemm_16fa66dd.pth", None),
        ("https://example.org/models/resnet50-19c8e357.pth", None),
        ("https://download.pytorch.org/models/other-19c8e357.pth", None),
    ],
)
def test_a_url_of_the_library_names_its_builder(url, builder):
    answer = statedicts.builder_of_url(url)
    assert answer == (None if builder is None else catalog.model_builder(builder))


def test_the_names_and_shapes_of_every_builders_weights_are_those_of_its_model():
    torchvision = pytest.importorskip("torchvision")
    torch = pytest.importorskip("torch")
    for builder in ("resnet18", "vgg11_bn", "vit_b_32", "efficientnet_b0", "googlenet", "inception_v3", "swin_t"):
        content = statedicts.of_builder(f"torchvision.models.{builder}", "")
        keywords = {"aux_logits": True, "init_weights": False} if builder in ("googlenet", "inception_v3") else {}
        with torch.device("meta"):
            model = torchvision.models.get_model(builder, **keywords)
        assert dict(content.shapes) == {name: tuple(p.shape) for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    "path, expected",
    [
        ("'./resnet18-5c106cde.pth'", ["HC405"]),
        (r"'C:\\weights\\resnet18-f37072fd.pth'", ["HC405"]),
        ("os.path.join(args.folder, 'resnet18-f37072fd.pth')", ["HC405"]),
        ("f'{args.folder}/resnet18-f37072fd.pth'", ["HC405"]),
        ("Path(args.folder) / 'resnet18-f37072fd.pth'", ["HC405"]),
        ("f'{args.kind}18-f37072fd.pth'", []),
        ("'resnet18_best-f37072fd.pth'", []),
        ("'resnet18-flowers.pth'", []),
        ("'resnet18-f37072fd.pth' + args.suffix", []),
        ("args.path", []),
    ],
)
def test_files_that_go_by_the_librarys_names(path: str, expected: list[str]) -> None:
    script = f"import os\nfrom pathlib import Path\nmodel.load_state_dict(torch.load({path}, map_location='cpu'))"
    assert codes(script) == expected


TRAINED = """
net = models.resnet18(weights="DEFAULT")
net.fc = nn.Linear(512, 6)
"""


@pytest.mark.parametrize(
    "script, expected",
    [
        ("torch.save(net.state_dict(), 'a.pth')\nmodels.resnet18().load_state_dict(torch.load('a.pth'))", ["HC405"]),
        (
            "torch.save({'model': net.state_dict(), 'epoch': 3}, args.out)\n"
            "kept = torch.load(args.out)\nprint(kept['epoch'] + 1)\n"
            "models.resnet18(num_classes=7).load_state_dict(kept['model'])",
            ["HC405"],
        ),
        (
            "if args.best:\n    torch.save(net.state_dict(), 'a.pth')\n"
            "models.resnet18(num_classes=6).load_state_dict(torch.load('a.pth'))",
            [],
        ),
        ("models.resnet18().load_state_dict(torch.load('a.pth'))\ntorch.save(net.state_dict(), 'a.pth')", []),
        (
            "torch.save(net.state_dict(), 'a.pth')\ntorch.save(models.resnet18().state_dict(), 'a.pth')\n"
            "models.resnet18().load_state_dict(torch.load('a.pth'))",
            [],
        ),
        ("torch.save(net.state_dict(), 'a.pth')\nmodels.resnet18().load_state_dict(torch.load('b.pth'))", []),
        (  # which model it is of stands beside it
            "known = {'18': models.resnet18, '34': models.resnet34}\n"
            "torch.save({'arch': '18', 'model': net.state_dict()}, 'a.pth')\nkept = torch.load('a.pth')\n"
            "again = known[kept['arch']](num_classes=6)\nagain.load_state_dict(kept['model'])",
            [],
        ),
        (
            "known = {'18': models.resnet18, '34': models.resnet34}\n"
            "torch.save({'arch': '34', 'model': net.state_dict()}, 'a.pth')\nkept = torch.load('a.pth')\n"
            "again = known[kept['arch']](num_classes=6)\nagain.load_state_dict(kept['model'])",
            ["HC405"],
        ),
        (
            "known = {'18': models.resnet18, '34': models.resnet34}\n"
            "net = known[args.arch](num_classes=6)\n"
            "torch.save({'arch': args.arch, 'model': net.state_dict()}, 'a.pth')\nkept = torch.load('a.pth')\n"
            "again = known[kept['arch']](num_classes=6)\nagain.load_state_dict(kept['model'])",
            [],
        ),
        (  # its head stands beside it
            "torch.save({'head': net.fc, 'model': net.state_dict()}, 'a.pth')\nkept = torch.load('a.pth')\n"
            "again = models.resnet18()\nif kept['head'] is not None:\n    again.fc = kept['head']\n"
            "again.load_state_dict(kept['model'])",
            [],
        ),
        ("torch.save(net, 'a.pth')\nmodels.resnet18().load_state_dict(torch.load('a.pth'))", []),
        (
            "torch.save(net.state_dict(), 'a.pth')\nnet.fc = nn.Linear(512, 7)\nkept = torch.load('a.pth')\n"
            "models.resnet18(num_classes=6).load_state_dict(kept)",
            [],
        ),
    ],
)
def test_what_the_script_saved_is_what_it_loads(script: str, expected: list[str]) -> None:
    assert codes(script, TRAINED) == expected


def test_what_else_is_in_a_checkpoint_is_told_apart():
    script = """
    net = models.resnet18()
    torch.save({"model": net.state_dict(), "size": size, "classes": classes}, "a.pth")
    loaded = torch.load("a.pth")
    one, other, again = loaded["size"], loaded["classes"], loaded["size"]
    """
    env = follow(script)[0].state.globals[ROOT]
    assert env["one"] == env["again"] != env["other"]
