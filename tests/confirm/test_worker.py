"""What the worker sees when it runs plans in real PyTorch. All plans of this file run in one worker."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from confirm_plans import Plan, build, layer, needs_torch, plan, put, step

from headcheck.confirm.judge import verdict
from headcheck.confirm.observation import Observation
from headcheck.confirm.runner import confirm
from headcheck.findings import Expectation

pytestmark = needs_torch
COLD = True  # see `tests.warm`

DETECTOR = "torchvision.models.detection.faster_rcnn.FastRCNNPredictor"
SGD = {"class": "torch.optim.SGD", "kwargs": {"lr": 0.1}}
FREEZE = step("requires_grad", of=1, parameters="all", value=False)
NEW_FC = (layer(2, "Linear", 512, 10), put("fc", 2))

PLANS: dict[str, Plan] = {
    "clean": plan(build("resnet50"), layer(2, "Linear", 2048, 10), put("fc", 2), probes=("fc.weight", "conv1.weight")),
    "weights asked for": plan(build("resnet18", weights="DEFAULT", pretrained=True, progress=False)),
    "spread over devices": plan(
        build("vgg11"),
        step("get", of=1, out=2, path="features"),
        layer(3, "DataParallel", {"ref": 2}, device_ids=[0, 1]),
        put("features", 3),
        probes=("features.module.0.weight",),
    ),
    "spread nothing": plan(layer(1, "parallel.DistributedDataParallel", 5)),
    "wrong in_features": plan(build("resnet50"), layer(2, "Linear", 1024, 10), put("fc", 2)),
    "unused attribute": plan(build("resnet18"), layer(2, "Linear", 512, 10), put("fc2", 2), probes=("fc2.weight",)),
    "missing attribute": plan(build("densenet121"), step("read", line=7, of=1, name="fc")),
    "missing index": plan(
        build("alexnet"), step("get", of=1, out=2, path="classifier"), step("item", line=8, of=2, out=3, index=7)
    ),
    "deleted": plan(build("resnet18"), step("delete", of=1, name="fc")),
    "freeze after": plan(build("resnet18"), *NEW_FC, FREEZE, probes=("fc.weight",)),
    "freeze before": plan(build("resnet18"), FREEZE, *NEW_FC, probes=("fc.weight", "conv1.weight")),
    "freeze by name": plan(
        build("resnet18"),
        step("requires_grad", of=1, parameters=["conv1.weight"], value=False),
        probes=("conv1.weight",),
    ),
    "flag on the module": plan(
        build("resnet18"),
        step("plain", of=1, parameters=None, name="requires_grad", value=False),
        step("plain", of=1, parameters=["fc.weight"], name="require_grad", value=False),
        probes=("fc.weight",),
    ),
    "optimizer before": plan(
        build("resnet18"),
        step("optimizer", out=9, groups=[{"parameters": [[1, "conv1.weight"], [1, "fc.weight"]]}], **SGD),
        *NEW_FC,
        probes=("fc.weight", "conv1.weight"),
    ),
    "optimizer without parameters": plan(
        build("resnet18"), step("optimizer", line=5, out=9, groups=[{"parameters": []}], **SGD)
    ),
    "optimizer in groups": plan(
        build("resnet18"),
        step(
            "optimizer",
            out=9,
            groups=[{"parameters": [[1, "fc.weight"]], "lr": 1.0}, {"parameters": [[1, "fc.bias"]]}],
            **SGD,
        ),
        probes=("fc.weight", "fc.bias", "conv1.weight"),
    ),
    "optimizer that does not learn": plan(
        build("resnet18"),
        layer(2, "Linear", 512, 10),
        put("fc", 2),
        step("optimizer", out=9, groups=[{"parameters": [[1, "fc.weight"]]}], **{**SGD, "kwargs": {"lr": 0.0}}),
    ),
    "vgg": plan(
        build("vgg11"),
        step("get", of=1, out=2, path="classifier"),
        layer(3, "Linear", 4096, 10),
        step("setitem", of=2, index=6, value=3),
    ),
    "squeezenet": plan(
        build("squeezenet1_1"),
        step("get", of=1, out=2, path="classifier"),
        layer(3, "Conv2d", 512, 10, {"tuple": [1, 1]}, stride=1),
        step("setitem", of=2, index=1, value=3),
    ),
    "squeezenet with a vector": plan(
        build("squeezenet1_1"),
        step("get", of=1, out=2, path="classifier"),
        layer(3, "Linear", 512, 10),
        step("setitem", of=2, index=1, value=3),
    ),
    "inception": plan(build("inception_v3"), layer(2, "Linear", 2048, 10), put("fc", 2), size=299),
    "inception in eval mode": plan(
        build("inception_v3"), layer(2, "Linear", 2048, 10), put("fc", 2), step("mode", of=1, train=False), size=299
    ),
    "googlenet": plan(build("googlenet"), layer(2, "Linear", 1024, 10), put("fc", 2)),
    "googlenet as its weights have it": plan(
        {**build("googlenet", aux_logits=True), "after": [put("aux1", None), put("aux2", None)]}, eval=True
    ),
    "deeplab": plan(
        build("segmentation.deeplabv3_resnet50", aux_loss=True),
        step("get", of=1, out=2, path="classifier"),
        layer(3, "Conv2d", 256, 5, 1),
        step("setitem", of=2, index=4, value=3),
        kind="segmentation",
    ),
    "faster rcnn": plan(
        build("detection.fasterrcnn_resnet50_fpn"),
        step("get", of=1, out=2, path="roi_heads"),
        layer(3, DETECTOR, 1024, 3),
        put("box_predictor", 3, of=2),
        kind="detection",
        size=None,
        probes=("roi_heads.box_predictor.cls_score.weight",),
    ),
    "faster rcnn, wrong size": plan(
        build("detection.fasterrcnn_resnet50_fpn"),
        step("get", of=1, out=2, path="roi_heads"),
        layer(3, DETECTOR, 512, 3),
        put("box_predictor", 3, of=2),
        kind="detection",
        size=None,
    ),
    "ssdlite": plan(build("detection.ssdlite320_mobilenet_v3_large"), kind="detection", size=None),
    "keypoints": plan(build("detection.keypointrcnn_resnet50_fpn", num_keypoints=5), kind="detection", size=None),
    "regnet": plan(build("regnet_y_400mf")),
    "quantizable": plan(build("quantization.resnet18", quantize=True)),
    "raft": plan(build("optical_flow.raft_small"), kind="optical_flow", size=None),
    "video": plan(build("video.mc3_18"), kind="video", input=[[2, 3, 4, 32, 32]]),
    "backbone in a Sequential": plan(
        build("resnet18", out=2),
        layer(3, "Identity"),
        put("fc", 3, of=2),
        layer(4, "Sequential", {"ref": 2}),
        layer(5, "Linear", 512, 10),
        step("append", of=4, value=5),
        layer(6, "ReLU"),
        step("insert", of=4, index=1, value=6),
        step("slice", of=4, out=1, start=0, stop=None, step=None),
    ),
    "half a model": plan(
        build("resnet18"), step("move", of=1, device=None, dtype="bfloat16"), layer(2, "Linear", 512, 10), put("fc", 2)
    ),
    "head left on the CPU": plan(build("resnet18"), step("move", of=1, device="cuda", dtype=None), *NEW_FC),
    "copy": plan(build("resnet18", out=2), step("copy", of=2, out=1), layer(3, "Linear", 512, 10), put("fc", 3, of=2)),
    "not a builder": plan(build("get_model", name="resnet18")),
    "not a builder either": plan(build("_api.load_state_dict_from_url")),
    "out of the libraries": plan({**build("resnet18"), "builder": "os.system"}),
    "out of the models": plan({**build("resnet18"), "builder": "torchvision.models.os.system"}),
    "not a layer": plan(layer(1, "torch.nn.utils.parametrize.ParametrizationList")),
    "not a class": plan(layer(1, "functional.relu", 1)),
    "not an optimizer": plan(
        build("resnet18"),
        step("optimizer", out=9, groups=[], kwargs={}, **{"class": "torch.optim.swa_utils.AveragedModel"}),
    ),
    "a dunder": plan(build("resnet18"), step("set", of=1, name="__class__", value={"plain": 1})),
    "a table": plan(build("resnet18"), step("delete", of=1, name="_modules")),
    "a path of dunders": plan(build("resnet18"), step("get", of=1, out=2, path="fc.__class__")),
    "a deep list": plan(build("resnet18", a=[[[[[[1]]]]]])),
    "a long text": plan(build("resnet18", a="a" * 1000)),
    "a great number": plan(layer(1, "Linear", 10**12, 1)),
    "an unknown step": plan(build("resnet18"), step("call", of=1)),
    "an unknown object": plan(build("resnet18"), put("fc", 7)),
    "not a step": plan(build("resnet18"), {"line": 5}),
    "wrong kwargs": plan({**build("resnet18"), "kwargs": 5}),
    "over the budget": plan(layer(1, "Linear", 21_000, 21_000)),
    "far over the budget": plan(layer(1, "Linear", 10**7, 10**7)),
    "a huge input": plan(build("resnet18"), size=100_000),
    "its own loss": plan(
        build("resnet18"),
        *NEW_FC,
        step("optimizer", out=9, groups=[{"parameters": [[1, "fc.weight"]]}], **SGD),
        loss={"class": "torch.nn.CrossEntropyLoss", "kwargs": {}, "by_picture": True, "line": 9},
    ),
    "a loss over one number": plan(
        build("resnet18"),
        layer(2, "Linear", 512, 1),
        put("fc", 2),
        loss={"class": "torch.nn.BCEWithLogitsLoss", "kwargs": {"reduction": "none"}, "by_picture": False, "line": 9},
    ),
    "a loss that nothing comes back from": plan(
        build("resnet18"),
        layer(2, "Linear", 512, 1),
        put("fc", 2),
        step("optimizer", out=9, groups=[{"parameters": [[1, "fc.weight"]]}], **SGD),
        loss={"class": "torch.nn.CrossEntropyLoss", "kwargs": {}, "by_picture": True, "line": 9},
    ),
    "a loss over maps": plan(
        layer(1, "Conv2d", 3, 5, 1),
        loss={"class": "torch.nn.CrossEntropyLoss", "kwargs": {}, "by_picture": False, "line": 9},
        size=8,
    ),
    "a loss over maps, with one label each": plan(
        layer(1, "Conv2d", 3, 5, 1),
        loss={"class": "torch.nn.CrossEntropyLoss", "kwargs": {}, "by_picture": True, "line": 9},
        size=8,
    ),
    "a loss that is none": plan(build("resnet18"), loss={"class": "os.system", "kwargs": {}, "line": 9}),
    "weights that do not fit": plan(
        build("resnet18"),
        *NEW_FC,
        step("load", line=8, of=1, strict=False, missing=[], unexpected=["x.weight"], differing=[["fc.bias", [1000]]]),
    ),
    "weights under other names": plan(
        build("resnet18"),
        step("load", line=8, of=1, strict=True, missing=["fc.bias"], unexpected=["fc.1.bias"], differing=[]),
    ),
    "a size that fits": plan(
        build("resnet18"),
        layer(2, "LazyLinear", out_features={"open": 7}),
        put("fc", 2),
        step("optimizer", out=9, groups=[{"parameters": [[1, "fc.weight"]]}], **SGD),
    ),
    "raises for the number": plan(
        build("resnet18"),
        layer(2, "Linear", 512, {"open": 7}),
        layer(3, "Linear", 960, 2),
        layer(4, "Sequential", {"ref": 2}, {"ref": 3}),
        put("fc", 4),
    ),
    "raises whatever the number": plan(build("resnet18"), layer(2, "Linear", 500, {"open": 7}), put("fc", 2)),
    "raises for the size": plan(
        build("alexnet", out=2),
        step("get", of=2, out=3, path="features"),
        layer(4, "Flatten"),
        layer(5, "Linear", 9216, 2),
        layer(1, "Sequential", {"ref": 3}, {"ref": 4}, {"ref": 5}),
    ),
    "the last": plan(layer(1, "Flatten"), size=8),
}

See = Callable[[str], Observation]


@pytest.fixture(scope="module")
def see() -> See:
    """What was seen of a plan, by name."""
    numbered = [{**PLANS[name], "id": index} for index, name in enumerate(PLANS)]
    done = confirm(numbered, python=sys.executable, device="cpu", memory_bytes=3 * 2**30)
    assert done.torch_version is not None
    assert done.interpreter == sys.executable
    assert done.notes == ()
    ids = {name: index for index, name in enumerate(PLANS)}
    return lambda name: done.observations[ids[name]]


def test_a_right_replacement_is_clean(see: See) -> None:
    seen = see("clean")
    assert (seen.status, seen.at, seen.error) == ("ran", None, "")
    assert seen.outputs == (("", (2, 10)),)
    assert seen.total == seen.trainable == 23_528_522
    assert seen.gradient == ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")
    assert all(state.requires_grad and state.grad and state.in_optimizer is None for state in seen.parameters.values())
    assert seen.milliseconds and seen.milliseconds > 0
    assert verdict(None, seen).status == "clean"


def test_the_gradient_comes_from_the_scripts_own_loss(see: See) -> None:
    seen = see("its own loss")
    assert (seen.status, seen.loss, seen.changed) == ("ran", "CrossEntropyLoss", ("fc",))
    seen = see("a loss over one number")
    assert (seen.status, seen.loss, seen.outputs) == ("ran", "BCEWithLogitsLoss", (("", (2, 1)),))
    assert see("clean").loss == ""
    assert see("a loss that is none").loss == ""


def test_what_a_loss_cannot_learn_from_shows_in_the_step(see: See) -> None:
    """CrossEntropyLoss over one output is always 0: a step changes nothing."""
    seen = see("a loss that nothing comes back from")
    assert (seen.status, seen.loss, seen.changed) == ("ran", "CrossEntropyLoss", ())


def test_a_target_fits_unless_it_is_known_to_be_one_label_each(see: See) -> None:
    assert see("a loss over maps").status == "ran"
    seen = see("a loss over maps, with one label each")
    assert (seen.status, seen.at, seen.line) == ("raised", "loss", 9)
    assert verdict(Expectation("by-class"), seen).status == "confirmed"


def test_weights_that_do_not_fit_are_loaded(see: See) -> None:
    seen = see("weights that do not fit")
    assert (seen.status, seen.at, seen.line) == ("raised", "step", 8)
    assert "size mismatch for fc.bias: copying a param with shape torch.Size([1000])" in seen.error
    seen = see("weights under other names")
    assert 'Missing key(s) in state_dict: "fc.bias". Unexpected key(s) in state_dict: "fc.1.bias".' in seen.error


def test_what_fits_is_made_to_fit_what_reaches_it(see: See) -> None:
    seen = see("a size that fits")
    assert (seen.status, seen.outputs) == ("ran", (("", (2, 7)),))
    assert seen.total == 11_176_512 + 512 * 7 + 7
    assert seen.changed == ("fc",)


def test_what_raises_does_so_whatever_an_open_number_is(see: See) -> None:
    seen = see("raises for the number")
    assert seen.status == "refused"
    assert seen.error.startswith(
        "whether it raises depends on a number that the script leaves open: RuntimeError: mat1"
    )
    seen = see("raises whatever the number")
    assert (seen.status, seen.everywhere) == ("raised", True)
    assert seen.error == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x512 and 500x7)"


def test_what_raises_may_do_so_for_the_size_of_the_input(see: See) -> None:
    seen = see("raises for the size")
    assert (seen.status, seen.at, seen.everywhere) == ("raised", "forward", False)
    assert see("wrong in_features").everywhere
    assert see("missing attribute").everywhere


def test_wrong_in_features_raises_in_pytorchs_own_words(see: See) -> None:
    seen = see("wrong in_features")
    assert (seen.status, seen.at) == ("raised", "forward")
    assert seen.error == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x2048 and 1024x10)"
    assert verdict(Expectation("raises"), seen).status == "confirmed"


def test_an_unused_attribute_is_proved_by_its_silence(see: See) -> None:
    expected = Expectation("output", parameters=("fc2.weight",), classes=1000)
    ruling = verdict(expected, see("unused attribute"))
    assert ruling.status == "confirmed"
    assert ruling.detail == "the output keeps 1000 classes; fc2.weight got no gradient"
    assert "fc2" not in ruling.gradient


@pytest.mark.parametrize(
    ("name", "error", "at", "line"),
    [
        ("missing attribute", "AttributeError: 'DenseNet' object has no attribute 'fc'", "step", 7),
        ("missing index", "IndexError: index 7 is out of range", "step", 8),
        ("deleted", "AttributeError: 'ResNet' object has no attribute 'fc'", "forward", None),
        ("optimizer without parameters", "ValueError: optimizer got an empty parameter list", "step", 5),
    ],
)
def test_what_is_missing_raises_where_the_script_asks_for_it(
    see: See, name: str, error: str, at: str, line: int | None
) -> None:
    seen = see(name)
    assert (seen.status, seen.error, seen.at, seen.line) == ("raised", error, at, line)


def test_a_freeze_after_the_replacement_leaves_nothing_to_learn(see: See) -> None:
    seen = see("freeze after")
    assert (seen.status, seen.at, seen.trainable) == ("raised", "backward", 0)
    assert "does not require grad" in seen.error
    assert not seen.parameters["fc.weight"].requires_grad
    assert verdict(Expectation("frozen", ("fc.weight",)), seen).status == "confirmed"
    assert verdict(Expectation("no-grad", ("fc.weight",)), seen).status == "confirmed"


def test_a_freeze_before_it_leaves_the_head(see: See) -> None:
    seen = see("freeze before")
    assert (seen.status, seen.trainable, seen.gradient) == ("ran", 5130, ("fc",))
    assert verdict(Expectation("frozen", ("fc.weight",)), seen).status == "refuted"


def test_freezing_by_name(see: See) -> None:
    assert not see("freeze by name").parameters["conv1.weight"].requires_grad


def test_a_flag_on_a_module_or_a_misspelt_one_freezes_nothing(see: See) -> None:
    seen = see("flag on the module")
    assert seen.trainable == seen.total
    assert verdict(Expectation("trainable", ("fc.weight",)), seen).status == "confirmed"


def test_an_optimizer_made_before_the_replacement_misses_the_head(see: See) -> None:
    seen = see("optimizer before")
    assert {name: state.in_optimizer for name, state in seen.parameters.items()} == {
        "fc.weight": False,
        "conv1.weight": True,
    }
    assert verdict(Expectation("not-in-optimizer", ("fc.weight",)), seen).status == "confirmed"


def test_what_one_step_of_the_optimizer_changes(see: See) -> None:
    """A learning rate of zero changes nothing; without an optimizer there is no step."""
    assert see("optimizer in groups").changed == ("fc",)
    assert see("optimizer before").changed == ("conv1",)
    assert see("optimizer that does not learn").changed == ()
    assert see("clean").changed is None


def test_an_optimizer_in_groups_holds_what_they_hold(see: See) -> None:
    assert [state.in_optimizer for state in see("optimizer in groups").parameters.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("weights asked for", {"": (2, 1000)}),
        ("vgg", {"": (2, 10)}),
        ("squeezenet", {"": (2, 10)}),
        ("inception", {"logits": (2, 10), "aux_logits": (2, 1000)}),
        ("inception in eval mode", {"": (2, 10)}),
        ("googlenet", {"logits": (2, 10), "aux_logits2": (2, 1000), "aux_logits1": (2, 1000)}),
        ("deeplab", {"out": (2, 5, 64, 64), "aux": (2, 21, 64, 64)}),
        ("faster rcnn", dict.fromkeys(("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"), ())),
        ("ssdlite", dict.fromkeys(("bbox_regression", "classification"), ())),
        ("regnet", {"": (2, 1000)}),
        ("quantizable", {"": (2, 1000)}),
        ("raft", {str(update): (2, 2, 128, 128) for update in range(12)}),
        ("video", {"": (2, 400)}),
        ("backbone in a Sequential", {"": (2, 10)}),
        ("copy", {"": (2, 1000)}),
        ("the last", {"": (2, 192)}),
    ],
)
def test_each_kind_of_model_runs(see: See, name: str, outputs: dict[str, tuple[int, ...]]) -> None:
    seen = see(name)
    if name == "the last":  # nothing in it can learn
        assert (seen.status, seen.at) == ("raised", "backward")
    else:
        assert (seen.status, seen.error) == ("ran", "")
    assert dict(seen.outputs) == outputs


def test_the_output_of_eval_mode_comes_when_asked_for(see: See) -> None:
    seen = see("googlenet as its weights have it")
    assert dict(seen.outputs)["logits"] == (2, 1000)
    assert seen.eval_outputs == (("", (2, 1000)),)
    assert see("clean").eval_outputs is None


def test_detection_heads_get_gradients_and_errors(see: See) -> None:
    assert see("faster rcnn").parameters["roi_heads.box_predictor.cls_score.weight"].grad
    wrong = see("faster rcnn, wrong size")
    assert (wrong.status, wrong.at) == ("raised", "forward")
    assert "1024 and 512x3" in wrong.error
    assert "loss_keypoint" in dict(see("keypoints").outputs)


def test_a_vector_layer_where_a_map_arrives_raises(see: See) -> None:
    seen = see("squeezenet with a vector")
    assert seen.status == "raised"
    assert seen.error.startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")


def test_a_head_of_another_dtype_raises(see: See) -> None:
    seen = see("half a model")
    assert (seen.status, seen.at) == ("raised", "forward")
    assert "same dtype" in seen.error


def test_a_move_to_a_device_that_is_not_there_proves_nothing(see: See) -> None:
    seen = see("head left on the CPU")
    assert (seen.status, seen.moves_ignored) == ("ran", True)
    assert verdict(Expectation("device"), seen).status == "inconclusive"
    assert not see("half a model").moves_ignored


def test_what_is_spread_over_several_devices_is_called_on_one(see: See) -> None:
    seen = see("spread over devices")
    assert (seen.status, seen.outputs) == ("ran", (("", (2, 1000)),))
    assert seen.parameters["features.module.0.weight"].grad


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("not a builder", "torchvision.models.get_model is not on the list of builders"),
        ("not a builder either", "this torchvision has no"),
        ("out of the libraries", "name 'os.system'"),
        ("out of the models", "this torchvision has no"),
        ("not a layer", "is not on the list of layers"),
        ("not a class", "is not a layer class"),
        ("spread nothing", "what is spread over several devices is no module"),
        ("not an optimizer", "is not an optimizer"),
        ("a dunder", "attribute '__class__'"),
        ("a table", "attribute '_modules'"),
        ("a path of dunders", "attribute '__class__'"),
        ("a deep list", "nested too deeply"),
        ("a long text", "value 'aaa"),
        ("a great number", "value 1000000000000"),
        ("an unknown step", "step {'op': 'call'"),
        ("an unknown object", "object 7 is not a module"),
        ("not a step", "op None in step"),
        ("wrong kwargs", "kwargs 5"),
        ("over the budget", "over the memory budget of 3.0 GiB"),
        ("far over the budget", "allocate memory"),
        ("a huge input", "is too big"),
    ],
)
def test_what_is_not_allowed_is_refused_and_proves_nothing(see: See, name: str, reason: str) -> None:
    seen = see(name)
    assert seen.status == "refused"
    assert reason in seen.error
    assert verdict(Expectation("raises"), seen).status == "inconclusive"
