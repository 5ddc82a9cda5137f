"""Models: after each script, headcheck's parameters are PyTorch's: names, order, shapes and requires_grad."""

from __future__ import annotations

import pytest

from headcheck.interpreter import access
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Ref
from tests.reading import paths, raw, whole

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

# Each script leaves its models in global variables.
SCRIPTS = {
    "as built": "m = models.resnet18()\nn = models.alexnet(num_classes=5)",
    "a new head": "m = models.resnet18()\nm.fc = nn.Linear(m.fc.in_features, 10)",
    "a head without bias": "m = models.resnet18()\nm.fc = nn.Linear(512, 10, bias=False)",
    "freeze all, then a new head": """
        m = models.resnet18()
        for p in m.parameters():
            p.requires_grad = False
        m.fc = nn.Linear(512, 10)
        """,
    "freeze by method": "m = models.vgg11()\nm.features.requires_grad_(False)\nm.classifier[6].requires_grad_(True)",
    "freeze by name": """
        m = models.resnet18()
        for name, p in m.named_parameters():
            if not name.startswith("fc"):
                p.requires_grad = False
        """,
    "freeze by many names": """
        m = models.resnet18()
        for name, p in m.named_parameters():
            p.requires_grad = any(part in name for part in ("layer4", "fc"))
        """,
    "freeze by split name": """
        m = models.resnet18()
        for name, p in m.named_parameters():
            if name.split(".")[0] in ["layer1", "conv1"]:
                p.requires_grad_(False)
        """,
    "freeze by count of children": """
        m = models.resnet18()
        count = 0
        for child in m.children():
            count += 1
            if count < 7:
                for p in child.parameters():
                    p.requires_grad = False
        """,
    "freeze by enumerate": """
        m = models.resnet18()
        for i, p in enumerate(m.parameters()):
            if i < 20:
                p.requires_grad = False
        for i, (name, child) in enumerate(m.named_children()):
            if i == 9:
                child.requires_grad_(True)
        """,
    "freeze a slice": """
        m = models.resnet18()
        for p in list(m.parameters())[:-2]:
            p.requires_grad = False
        """,
    "freeze by zip": """
        m = models.alexnet()
        for p, flag in zip(m.parameters(), [True, False, True]):
            p.requires_grad = flag
        """,
    "freeze by module kind": """
        m = models.resnet18()
        for module in m.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.requires_grad = False
                module.bias.requires_grad_(False)
        """,
    "thaw one block": """
        m = models.resnet18()
        m.requires_grad_(False)
        for p in m.layer4[1].parameters():
            p.requires_grad = True
        m.layer3[0].conv1.weight.requires_grad = True
        """,
    "freeze in a function": """
        def freeze(model, flag=False):
            for p in model.parameters():
                p.requires_grad = flag
        m = models.resnet18()
        freeze(m)
        freeze(m.fc, flag=True)
        """,
    "freeze with map and lists": """
        m = models.alexnet()
        [p.requires_grad_(False) for p in m.features.parameters()]
        """,
    "an alias": """
        m = models.vgg11()
        c = m.classifier
        c[6] = nn.Linear(4096, 10)
        d = c
        del d[5]
        """,
    "Sequential edits": """
        m = models.vgg11()
        c = m.classifier
        c.append(nn.Linear(1000, 10))
        c.insert(0, nn.Identity())
        c.extend([nn.ReLU(), nn.Linear(10, 3)])
        c.pop(4)
        """,
    "Sequential by number": """
        m = models.vgg11()
        m.classifier[-1] = nn.Linear(4096, 2)
        m.classifier[0].requires_grad_(False)
        del m.classifier[-2]
        del m.classifier[1:3]
        """,
    "Sequential slices": """
        m = models.vgg11()
        m.classifier = m.classifier[:-1]
        n = nn.Sequential(*list(m.features.children())[:4])
        o = m.features[0:3]
        """,
    "children popped": """
        m = models.resnet18()
        parts = list(m.children())
        last = parts.pop()
        parts.append(nn.Flatten())
        n = nn.Sequential(*parts, nn.Linear(last.in_features, 10))
        """,
    "children in a list": """
        m = models.vgg11()
        layers = list(m.classifier.children())[:-1]
        layers += [nn.Linear(4096, 5)]
        m.classifier = nn.Sequential(*layers)
        """,
    "an ordered dict": """
        from collections import OrderedDict
        m = models.densenet121()
        layers = [("fc1", nn.Linear(1024, 9)), ("relu", nn.ReLU()), ("out", nn.Linear(9, 2))]
        m.classifier = nn.Sequential(OrderedDict(layers))
        m.classifier.out.weight.requires_grad = False
        """,
    "add_module and setattr": """
        m = models.resnet18()
        m.add_module("fc", nn.Linear(512, 3))
        setattr(m, "fc2", nn.Linear(3, 2))
        name = "layer" + "4"
        setattr(m, name, nn.Identity())
        m.classifier.add_module("6", nn.Linear(1, 1)) if hasattr(m, "classifier") else None
        """,
    "deletions": """
        m = models.resnet18()
        del m.layer4
        delattr(m, "fc")
        m.avgpool = None
        """,
    "None in place of a layer": "m = models.resnet18()\nm.fc = None\nm.last = nn.Linear(512, 2)",
    "getattr with a name": """
        m = models.resnet18()
        head = "fc"
        size = getattr(m, head).in_features
        setattr(m, head, nn.Linear(size, size // 2))
        getattr(m, "layer1").requires_grad_(False)
        """,
    "hasattr decides": """
        def replace(model, n):
            if hasattr(model, "fc"):
                model.fc = nn.Linear(model.fc.in_features, n)
            elif hasattr(model, "classifier"):
                c = model.classifier
                if isinstance(c, nn.Sequential):
                    c[-1] = nn.Linear(c[-1].in_features, n)
                else:
                    model.classifier = nn.Linear(c.in_features, n)
            return model
        m = replace(models.resnet18(), 3)
        n = replace(models.vgg11(), 4)
        o = replace(models.densenet121(), 5)
        """,
    "deepcopy": """
        import copy
        m = models.resnet18()
        m.layer1.requires_grad_(False)
        n = copy.deepcopy(m)
        n.fc = nn.Linear(512, 4)
        m.layer2.requires_grad_(False)
        """,
    "one layer in two places": """
        m = models.resnet18()
        shared = nn.Linear(512, 512)
        m.fc = nn.Sequential(shared, nn.ReLU(), shared)
        """,
    "a new stem": """
        m = models.resnet18()
        m.conv1 = nn.Conv2d(1, m.conv1.out_channels, kernel_size=7, stride=2, padding=3, bias=False)
        n = models.vgg11_bn()
        n.features[0] = nn.Conv2d(4, 64, 3, groups=2)
        """,
    "a new norm": """
        m = models.resnet18()
        m.bn1 = nn.BatchNorm2d(64, affine=False)
        m.layer1[0].bn1 = nn.GroupNorm(8, 64)
        """,
    "vit": "m = models.vit_b_16()\nm.heads.head = nn.Linear(768, 7)\nm.encoder.layers[0].mlp.requires_grad_(False)",
    "mobilenet": "m = models.mobilenet_v3_small()\nm.classifier[3] = nn.Linear(m.classifier[3].in_features, 3)",
    "inception": """
        m = models.inception_v3(init_weights=False)
        m.fc = nn.Linear(2048, 3)
        m.AuxLogits.fc = nn.Linear(m.AuxLogits.fc.in_features, 3)
        """,
    "inception without its auxiliary head": "m = models.inception_v3(aux_logits=False, init_weights=False)",
    "detection": """
        from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn as build
        from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
        m = build(weights_backbone=None)
        m.roi_heads.box_predictor.cls_score.requires_grad_(False)
        """,
    "segmentation": """
        m = models.segmentation.fcn_resnet50(weights_backbone=None)
        m.classifier[4] = nn.Conv2d(512, 2, 1)
        """,
    "a module of the script": """
        class Net(nn.Module):
            def __init__(self, classes, frozen=True):
                super().__init__()
                self.backbone = models.resnet18()
                if frozen:
                    for p in self.backbone.parameters():
                        p.requires_grad = False
                self.backbone.fc = nn.Identity()
                self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(512, classes))
                self.size = classes
            def forward(self, x):
                return self.head(self.backbone(x))
        m = Net(5)
        n = Net(classes=6, frozen=False)
        n.head[1] = nn.Linear(512, n.size + 1)
        """,
    "inherited modules": """
        class Base(nn.Module):
            def __init__(self):
                super(Base, self).__init__()
                self.net = self.make()
            def make(self):
                return models.alexnet()
            def freeze(self):
                self.net.features.requires_grad_(False)
        class Net(Base):
            def __init__(self):
                super().__init__()
                self.net.classifier[6] = nn.Linear(4096, 2)
                self.freeze()
            def make(self):
                return models.vgg11()
        m = Net()
        """,
    "lists of modules": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(n, n) for n in (3, 4)])
                self.layers.append(nn.Linear(1, 2))
                self.named = nn.ModuleDict({"a": nn.Conv1d(1, 2, 3)})
                self.named["b"] = nn.Linear(2, 2)
        m = Net()
        """,
    "a Sequential of the script": """
        class Head(nn.Sequential):
            def __init__(self, n, k):
                super().__init__(nn.Linear(n, 8), nn.ReLU(), nn.Linear(8, k))
        def block(n):
            return nn.Sequential(nn.Conv2d(n, 2 * n, 3), nn.BatchNorm2d(2 * n))
        m = models.resnet18()
        m.fc = nn.Sequential(*[nn.Linear(512 // 2**i, 256 // 2**i) for i in range(3)])
        n = block(4)
        """,
    "several models in a loop": """
        made = {}
        for name in ("resnet18", "resnet34"):
            model = getattr(models, name)()
            model.fc = nn.Linear(model.fc.in_features, len(name))
            made[name] = model
        m = made["resnet34"]
        n = made["resnet18"]
        """,
    "dispatch": """
        def resnet(n):
            m = models.resnet18()
            m.fc = nn.Linear(512, n)
            return m, 224
        def alexnet(n):
            m = models.alexnet()
            m.classifier[6] = nn.Linear(4096, n)
            return m, 256
        MAKERS = dict(resnet=resnet, alexnet=alexnet)
        m, size = MAKERS["alexnet"](4)
        """,
    "the feature size asked in several ways": """
        m = models.resnet18()
        a = m.fc.weight.shape[1]
        b = m.fc.weight.size(1)
        c = m.fc.out_features
        m.fc = nn.Sequential(nn.Linear(a, b), nn.Linear(b, c), nn.Linear(c, m.layer4[1].conv2.out_channels))
        """,
    "get_submodule and _modules": """
        m = models.resnet18()
        m._modules["fc"] = nn.Linear(512, 2)
        m.get_submodule("layer4.0").requires_grad_(False)
        m.get_parameter("conv1.weight").requires_grad = False
        for name, child in m._modules.items():
            if name == "layer1":
                child.requires_grad_(False)
        """,
}


def in_pytorch(script):
    names = {"__name__": "__main__"}
    with torch.device("meta"):
        exec(compile(whole(script), "script.py", "exec"), names)
    return {n: v for n, v in names.items() if len(n) == 1 and isinstance(v, torch.nn.Module)}


def described(execution, ref):
    """[(name, shape, trainable)] of a module on the heap, with every name known."""
    listing = execution.parameters(ref)
    assert listing.complete
    return [(n, access.shape_of(execution.state, p), execution.trainable(p)) for n, p in listing.items]


@pytest.mark.parametrize("name", SCRIPTS)
def test_pytorch_agrees(name):
    script = SCRIPTS[name]
    execution, *_ = paths(script)
    real = in_pytorch(script)
    assert real
    for variable, module in real.items():
        ref = raw(execution, variable)
        assert type(ref) is Ref and type(execution.state.object(ref)) is Module, variable
        wanted = [(n, tuple(p.shape), p.requires_grad) for n, p in module.named_parameters()]
        assert described(execution, ref) == wanted, variable
