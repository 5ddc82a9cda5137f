"""What calls of fastai mean to a model; the library is not needed."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from headcheck import pipeline
from headcheck.analysis import analyse
from headcheck.settings import Settings

PREAMBLE = "from fastai.vision.all import *\n"


def codes(script: str, preamble: str = PREAMBLE) -> list[tuple[int, str]]:
    result = analyse(preamble + textwrap.dedent(script).lstrip("\n"), "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


def head(learner: str, layer: str, after: str = "learn.fine_tune(3)") -> list[tuple[int, str]]:
    """What is said of a layer that takes the place of the last one of a learner's model."""
    return codes(f"learn = {learner}\nlearn.model[1][-1] = {layer}\nlearn.create_opt()\n{after}")


@pytest.mark.parametrize(
    ("learner", "features"),
    [
        ("vision_learner(dls, resnet34, metrics=accuracy)", 512),
        ("vision_learner(dls, models.resnet50, n_out=37, pretrained=False, cbs=SaveModelCallback())", 512),
        ("cnn_learner(dls, squeezenet1_0, lin_ftrs=[256, 128], ps=0.3).to_fp16()", 128),
        ("vision_learner(dls, arch=resnet18, lin_ftrs=[], ps=[0.5])", 1024),
        ("vision_learner(dls, convnext_tiny, lin_ftrs=[], concat_pool=False)", 768),
        ("vision_learner(dls, efficientnet_b0, weights=EfficientNet_B0_Weights.DEFAULT, loss_func=loss)", 512),
    ],
)
def test_the_layer_that_answers(learner: str, features: int) -> None:
    assert head(learner, f"nn.Linear({features}, 5)") == []
    assert head(learner, "nn.Linear(learn.model[1][-1].in_features, 5)") == []
    assert head(learner, f"nn.Linear({features + 1}, 5)") == [(3, "HC101")]


@pytest.mark.parametrize(
    "learner",
    [
        "vision_learner(dls, arch)",
        "vision_learner(dls, 'convnext_tiny')",
        "vision_learner(dls, vit_b_16)",
        "vision_learner(dls, mobilenet_v2, cut=-1)",
        "vision_learner(dls, resnet34, **options)",
        "vision_learner(dls, resnet34, bn_final=True)",
        "vision_learner(dls, resnet34, lin_first=True)",
        "vision_learner(dls, resnet34, y_range=(0, 1))",
        "vision_learner(dls, resnet34, lin_ftrs=sizes)",
        "vision_learner(dls, resnet34, ps=rates)",
        "cnn_learner(dls, resnet34, config=config)",
        "vision_learner(dls, resnet34, n_in=1)",
        "unet_learner(dls, resnet34)",
        "Learner(dls, net)",
    ],
)
def test_what_may_be_another(learner: str) -> None:
    assert head(learner, "nn.Linear(3, 5)") == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("learn.model.fc = nn.Linear(learn.model.fc.in_features, 5)", "HC202"),
        ("learn.model[1][9] = nn.Linear(512, 5)", "HC202"),
        ("learn.model[1][-1].out_features = 5", "HC103"),
    ],
)
def test_a_sequential_is_no_resnet(line: str, code: str) -> None:
    assert codes(f"learn = vision_learner(dls, resnet34)\n{line}") == [(3, code)]


AFTER_FREEZE = """
learn = {learner}
{between}learn.model[1][-1] = nn.Linear(512, 5)
{after}
"""


def after_freeze(learner: str, between: str = "", after: str = "learn.fine_tune(3)") -> list[tuple[int, str]]:
    return codes(AFTER_FREEZE.format(learner=learner, between=between and f"{between}\n", after=after))


def test_a_learner_has_made_its_optimizer_when_it_froze_its_model() -> None:
    assert after_freeze("vision_learner(dls, resnet34)") == [(2, "HC401")]
    assert after_freeze("vision_learner(dls, resnet34, cbs=[SaveModelCallback(), CSVLogger()])") == [(2, "HC401")]
    assert after_freeze("vision_learner(dls, resnet34, pretrained=False)", "learn.freeze()") == [(3, "HC401")]
    assert after_freeze("vision_learner(dls, resnet34, pretrained=False)", "learn.fit_one_cycle(1)") == [(3, "HC401")]


@pytest.mark.parametrize(
    ("learner", "between", "after"),
    [
        ("vision_learner(dls, resnet34, pretrained=False)", "", "learn.fit_one_cycle(3)"),
        ("vision_learner(dls, resnet34)", "", "learn.create_opt()\nlearn.fit_one_cycle(3)"),
        ("vision_learner(dls, resnet34)", "", "learn.opt = None\nlearn.fine_tune(3)"),
        ("vision_learner(dls, resnet34)", "", "learn.fit_one_cycle(3, reset_opt=True)"),
        ("vision_learner(dls, resnet34, cbs=Unfreezer())", "", "learn.fine_tune(3)"),
        ("vision_learner(dls, resnet34, splitter=parts)", "", "learn.fine_tune(3)"),
        ("vision_learner(dls, resnet34, pretrained=flag)", "", "learn.fine_tune(3)"),
        ("vision_learner(dls, resnet34)", "", "start(learn)"),
        ("vision_learner(dls, resnet34)", "", "learn.load('best')\nlearn.get_preds()"),
        ("vision_learner(dls, resnet34)", "", "learn.my_fit(3)"),
    ],
)
def test_an_optimizer_that_has_the_new_layer_or_may_have_it(learner: str, between: str, after: str) -> None:
    assert after_freeze(learner, between, after) == []


SOFTMAX = """
head = nn.Sequential(AdaptiveConcatPool2d(), Flatten(), nn.Linear(1024, {classes}){end})
learn = vision_learner(dls, resnet34, custom_head=head, loss_func={loss})
learn.{fit}
"""


@pytest.mark.parametrize("loss", ["nn.CrossEntropyLoss()", "CrossEntropyLossFlat()", "F.cross_entropy"])
@pytest.mark.parametrize("fit", ["fit_one_cycle(3)", "fine_tune(3, base_lr=1e-3)", "fit(2)"])
def test_the_loss_that_a_learner_is_given(loss: str, fit: str) -> None:
    assert codes(SOFTMAX.format(classes=5, end=", nn.Softmax(dim=1)", loss=loss, fit=fit)) == [(4, "HC107")]
    assert codes(SOFTMAX.format(classes=1, end="", loss=loss, fit=fit)) == [(4, "HC107")]
    assert codes(SOFTMAX.format(classes=5, end="", loss=loss, fit=fit)) == []
    assert codes(SOFTMAX.format(classes=1, end="", loss="BCEWithLogitsLossFlat()", fit=fit)) == []
    assert codes(SOFTMAX.format(classes=5, end=", nn.Softmax(dim=1)", loss="None", fit=fit)) == []


NETWORK = """
body = {body}
net = nn.Sequential(body, {head})
learn = Learner(dls, net, splitter=default_split)
learn.fit_one_cycle(3)
"""


def network(body: str, head: str, preamble: str = PREAMBLE) -> list[tuple[int, str]]:
    return codes(NETWORK.format(body=body, head=head), preamble)


NEW, OPEN = "create_body(resnet50(weights=None), cut=-2)", "create_body(resnet50, pretrained=False)"


def test_a_head_doubles_its_features_itself_since_bodies_are_cut_from_models() -> None:
    assert network(NEW, "create_head(2048, 10)") == []
    assert network(NEW, "create_head(num_features_model(body), dls.c, ps=0.25)") == []
    assert network(NEW, "create_head(num_features_model(body) * 2, 10)") == [(3, "HC101")]
    assert network(NEW, "create_head(4096, dls.c)") == [(3, "HC101")]
    assert network(NEW, "create_head(4096, 10, concat_pool=False)") == [(3, "HC101")]
    assert network(NEW, "create_head(2048, 10, concat_pool=False)") == []


@pytest.mark.parametrize("size", [2048, 4096])
def test_where_the_version_is_not_known_a_head_may_do_either(size: int) -> None:
    assert network(OPEN, f"create_head({size}, 10)") == []
    assert network(OPEN, f"create_head({size}, 10, pool=True)") == ([(3, "HC101")] if size == 4096 else [])


def test_of_one_pooling_all_versions_make_the_same() -> None:
    assert network(OPEN, "create_head(2048, 10, concat_pool=False)") == []
    assert network(OPEN, "create_head(4096, 10, concat_pool=False)") == [(3, "HC101")]


@pytest.mark.parametrize(
    ("required", "size", "wrong"),
    [
        ("fastai==2.7.19", 2048, False),
        ("fastai>=2.3", 4096, True),
        ("fastai==2.0.14", 4096, False),
        ("fastai<2.2", 2048, True),
        ("fastai>=2.0", 2048, False),
        ("fastai>=2.0", 4096, False),
    ],
)
def test_the_version_that_a_project_asks_for(tmp_path: Path, required: str, size: int, wrong: bool) -> None:
    (tmp_path / "requirements.txt").write_text(f"{required}\n", encoding="utf-8")
    script = PREAMBLE + NETWORK.format(body=OPEN, head=f"create_head({size}, 10)")
    (tmp_path / "train.py").write_text(script, encoding="utf-8")
    run = pipeline.run([str(tmp_path)], Settings(confirm=False))
    codes_found = [finding.code for result in run.files for finding in result.findings]
    assert codes_found == (["HC101"] if wrong else [])


FIRST_EDITION = "from fastai.vision import *\n"


def test_the_first_edition() -> None:
    made = "learn = cnn_learner(data, models.resnet34, metrics=accuracy)\n{line}\nlearn.fit_one_cycle(4)"
    assert codes(made.format(line="learn.unfreeze()"), FIRST_EDITION) == []
    wrong = made.format(line="learn.model[1][8] = nn.Linear(1024, 5)")
    assert codes(wrong, FIRST_EDITION) == [(2, "HC401"), (3, "HC101")]
    assert codes(made.replace("resnet34", "vgg16_bn").format(line="learn.model[1][8] = x"), FIRST_EDITION) == []
    net = "net = nn.Sequential(*list(models.resnet34().children())[:-2], {head})\nnet(torch.rand(2, 3, 224, 224))"
    assert codes(net.format(head="create_head(1024, 5)"), FIRST_EDITION) == []
    assert codes(net.format(head="create_head(512, nc=5)"), FIRST_EDITION) == [(2, "HC101")]


def test_networks_that_take_no_pictures() -> None:
    made = "net = nn.Sequential(*list(create_head(64, 5, concat_pool=False).children())[2:])"
    assert codes(f"{made}\nlearn = Learner(dls, net)\nlearn.lr_find()\nlearn.fit(3)") == []


OWN = """
class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = create_body(resnet34, pretrained=True, cut=-2)
        self.pool = {pool}
        self.head = nn.Sequential(Flatten(), LinBnDrop({size}, 128, p=0.2, act=nn.ReLU()), nn.Linear(128, classes))

    def forward(self, images):
        return self.head(self.pool(self.body(images)))


net = Net(5)
net(torch.rand(2, 3, 224, 224))
"""


def test_layers_in_a_network_of_the_scripts_own() -> None:
    found = {
        (pool, size): codes(OWN.format(pool=pool, size=size))
        for pool in ("AdaptiveConcatPool2d()", "nn.AdaptiveAvgPool2d(1)")
        for size in (512, 1024)
    }
    assert [place for place, seen in found.items() if not seen] == [
        ("AdaptiveConcatPool2d()", 1024),
        ("nn.AdaptiveAvgPool2d(1)", 512),
    ]
    assert {tuple(seen) for seen in found.values() if seen} == {((7, "HC101"),)}


def test_the_arguments_of_a_body_in_either_edition() -> None:
    first = "body = create_body(models.densenet121, True, -1)\nbody[0][0]"
    assert codes(first, FIRST_EDITION) == []
    assert codes("body = create_body(models.densenet121, 3, True, -1)\nbody[0][0]") == []
    assert codes(f"{first}\nbody[1]", FIRST_EDITION) == [(4, "HC202")]
    assert codes(first, "from fastai.vision.learner import create_body\nfrom fastai.vision import models\n") == []
    assert codes(first.replace("True, -1", "**options"), FIRST_EDITION) == []


def test_classes_of_models() -> None:
    script = """
    model = models.vgg16(weights="DEFAULT")
    if isinstance(model, models.VGG):
        model.classifier[6] = nn.Linear(4096, 5)
    elif isinstance(model, models.ResNet):
        model.fc = nn.Linear(512, 5)
    """
    assert codes(script) == []
    assert codes(script.replace("models.VGG", "models.DenseNet").replace("models.ResNet", "models.VGG")) == [
        (6, "HC201")
    ]
