"""The classes of torchvision's models, called as a builder calls them, against the real ones: the same parameters."""

from __future__ import annotations

import pytest

from headcheck.semantics.constructors import CONSTRUCTORS

torch = pytest.importorskip("torch")

#: What a class has to be told beside what decides the builder.
NEEDED = {"VisionTransformer": {"image_size": 224}}
CASES = [(name, key, builder) for name, one in CONSTRUCTORS.items() for key, builder in one.builders.items()]


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("name", "key", "builder"), CASES, ids=[builder for *_, builder in CASES])
def test_a_class_makes_what_the_builder_makes(name, key, builder):
    from torchvision import models

    given = dict(zip(CONSTRUCTORS[name].deciding, key, strict=True))
    given = {k: getattr(models.resnet, v.rpartition(".")[2]) if k == "block" else v for k, v in given.items()}
    given |= NEEDED.get(name, {})
    with torch.device("meta"):
        made, expected = getattr(models, name)(num_classes=7, **given), getattr(models, builder)(num_classes=7)
    assert shapes(made) == shapes(expected)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_the_parameters_stand_in_the_order_of_the_class(name):
    import inspect

    from torchvision import models

    parameters = inspect.signature(getattr(models, name)).parameters
    constructor = CONSTRUCTORS[name]
    assert tuple(parameters)[: len(constructor.names)] == constructor.names
    defaults = {k: v for k, v in constructor.deciding.items() if v is not None}
    assert defaults.items() <= {k: p.default for k, p in parameters.items()}.items()
