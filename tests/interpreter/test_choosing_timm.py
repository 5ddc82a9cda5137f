"""Models of timm chosen by a name that is not known: one stands for many."""

from __future__ import annotations

from tests.interpreter.test_choosing import builders, messages, row, script
from tests.reading import found


def timm(body, more=""):
    return script(f"    import timm\n    m = timm.create_model(arch, pretrained=True)\n{body}", more)


def test_a_model_of_timm_stands_for_others():
    head = "    m.{} = nn.Linear({}, 2)\n"
    for name in ("fc", "classifier", "head"):
        assert len(builders(timm(head.format(name, f"m.{name}.in_features")))) > 1
        assert found(timm(head.format(name, f"m.{name}.in_features"))) == []
    assert found(timm(head.format("fc", 512))) == []  # right for resnet18
    assert found(timm(head.format("fc", 1024))) == []  # right for a model that is none of those tried
    assert found(timm(head.format("fc", 7))) == []  # of more than a thousand models nobody asks each
    assert found(timm(head.format("last_layer", "m.last_layer.in_features"))) == []  # some other model may have it


def test_what_is_tested_of_a_name_of_timm():
    text = timm("    if arch.startswith('tf_efficientnetv2'):\n        m.classifier = nn.Linear({}, 2)\n")
    assert all("efficientnetv2" in name for name in builders(text.format(1280)))
    assert builders(text.format(1280))
    assert found(text.format(1280)) == []
    assert found(text.format(7)) == [(row(4), "HC101")]


def test_layers_that_other_versions_of_timm_have():
    assert found("import timm\nm = timm.create_model('efficientnet_b0')\nm.act2") == []
    assert found("import timm\nm = timm.create_model('efficientnet_b0')\nm.fc") == [(3, "HC202")]


def test_names_of_timm_that_the_script_lists():
    text = timm("    m.fc = nn.Linear(512, 2)\n", ', choices=["resnet18", "resnet50"]')
    assert messages(text) == [("HC101", ("args.arch == 'resnet50'",))]


def test_every_kind_of_model_comes_by_the_forward():
    text = """
    import timm
    class Net(nn.Module):
        def __init__(self, name, learn):
            super().__init__()
            self.body = timm.create_model(name, num_classes=0)
            self.size = self.body.num_features
            if learn:
                for p in self.body.parameters():
                    p.requires_grad = False
            self.own = nn.Linear(self.size, 3)
        def forward(self, x):
            x = self.body.forward_features(x)
            if x.dim() == 3:  # right for a ViT
                x = x[:, 0]
            return self.own(x)
    """
    assert found(text) == []
