"""Names: every way to import something leads to it, and nothing else does."""

from __future__ import annotations

import pytest

from tests.reading import UNKNOWN_VALUE, found, only, paths, variable

RESNET50 = "torchvision.models.resnet50"


@pytest.mark.parametrize(
    "script",
    [
        "import torchvision\nm = torchvision.models.resnet50()",
        "import torchvision as tv\nm = tv.models.resnet50()",
        "import torchvision.models\nm = torchvision.models.resnet50()",
        "import torchvision.models as models\nm = models.resnet50()",
        "import torchvision.models.resnet as r\nm = r.resnet50()",
        "import os, torchvision.models.resnet\nm = torchvision.models.resnet.resnet50()",
        "from torchvision import models\nm = models.resnet50()",
        "from torchvision import models as zoo\nm = zoo.resnet.resnet50()",
        "from torchvision.models import resnet50\nm = resnet50()",
        "from torchvision.models import resnet18 as a, resnet50 as b\nm = b()",
        "from torchvision.models.resnet import resnet50\nm = resnet50()",
        "from torchvision.models import *\nm = resnet50()",
        "from torchvision.models.resnet import *\nm = resnet50()",
        "from torchvision import *\nm = models.resnet50()",
        "from torchvision import models\nm = models.__dict__['resnet50']()",
        "from torchvision import models\nm = vars(models)['resnet50']()",
        "from torchvision import models\nm = models.__dict__.get('resnet50')()",
        "from torchvision import models\nm = getattr(models, 'resnet' + str(50))()",
        "from torchvision import models\nm = getattr(models, f'resnet{50}')(weights=None)",
        "from torchvision import models\nm = models.get_model('resnet50')",
        "from torchvision.models import get_model\nm = get_model(name='resnet50', weights='DEFAULT')",
        "from torchvision import models\nm = {'a': models.resnet18, 'b': models.resnet50}['b']()",
        "from torchvision import models\nm = (models.resnet18, models.resnet50)[-1](True)",
        "from torchvision import models\nfrom functools import partial\nm = partial(models.resnet50, weights=None)()",
        "from torchvision import models\nf = models.resnet50\nm = f()",
        "import torch\nm = torch.hub.load('pytorch/vision:v0.10.0', 'resnet50', pretrained=True)",
        "try:\n    from torchvision.models import resnet50\nexcept ImportError:\n    resnet50 = None\nm = resnet50()",
        "def f():\n    from torchvision.models import resnet50\n    return resnet50()\nm = f()",
        "import torchvision.models as models\nimport torchvision.transforms as models2\nm = models.resnet50()",
    ],
)
def test_every_form_of_import_finds_the_builder(script):
    assert {variable(e, "m") for e in paths(script, preamble="")} == {RESNET50}


@pytest.mark.parametrize(
    "script",
    [
        "def resnet50():\n    return 3\nm = resnet50()",
        "from torchvision.models import resnet50\ndef resnet50(): return 3\nm = resnet50()",
        "from torchvision.models import resnet50\nresnet50 = lambda: 3\nm = resnet50()",
        "from torchvision import models\nclass models:\n    @staticmethod\n    def resnet50(): return 3\n"
        "m = models.resnet50()",
        "from torchvision import models\ndef f(models):\n    return models.resnet50()\n"
        "class O:\n    def resnet50(self): return 3\nm = f(O())",
    ],
)
def test_the_scripts_own_names_come_first(script):
    assert {variable(e, "m") for e in paths(script, preamble="")} == {3}


@pytest.mark.parametrize(
    "script",
    [
        "from .models import resnet50\nm = resnet50()",
        "from . import models\nm = models.resnet50()",
        "from .torchvision.models import resnet50\nm = resnet50()",
        "from .zoo import *\nm = resnet50()",
        "from zoo import resnet50\nm = resnet50()",
        "import zoo\nm = zoo.resnet50()",
        "from zoo import *\nm = resnet50()",
        "m = resnet50()",
        "import torchvision\nm = torchvision.datasets.CIFAR10('.')",
        "import torchvision.models\nm = models.resnet50()",
    ],
)
def test_what_is_not_the_librarys_is_unknown(script):
    assert variable(only(script, preamble=""), "m") == UNKNOWN_VALUE


def test_a_projects_own_package_shadows_the_library():
    script = """
        import torchvision.models as models
        from torchvision.models import resnet18
        m = models.resnet50()
        n = resnet18()
        """
    own = only(script, preamble="", local=lambda module, level: module.split(".")[0] == "torchvision")
    assert [variable(own, name) for name in "mn"] == [UNKNOWN_VALUE, UNKNOWN_VALUE]


def test_settings_of_another_file_are_unknown():
    script = """
        from config import cfg
        import settings, os, sys
        a = cfg.use
        b = settings.NAME == "resnet18"
        c = os.environ["ARCH"]
        d = sys.argv[1]
        if cfg.x is None:
            e = 1
        else:
            e = 2
        if sys.argv[1] == "a":
            f = sys.argv[1] == "b"
        """
    execution = only(script)
    assert [variable(execution, name) for name in "abcde"] == [UNKNOWN_VALUE] * 5


@pytest.mark.parametrize("name", ["config.ARCH", "os.environ['ARCH']", "sys.argv[1]", "cfg.model.name"])
def test_a_setting_read_twice_is_the_same(name):
    script = f"""
        import config, os, sys
        from config import cfg
        if {name} == "resnet18":
            m = models.resnet18()
        else:
            m = models.vgg16()
        if {name} == "vgg16":
            m.classifier[6] = nn.Linear(4096, 10)
        if {name} == "resnet18":
            m.fc = nn.Linear(512, 10)
        """
    assert found(script) == []


def test_a_misspelt_builder_ends_the_path():
    assert found("from torchvision.models import resnet51\nresnet51()") == [(1, "HC205")]
    assert found("m = models.resnet51()\nm.fc = nn.Linear(1, 2)") == [(1, "HC205")]
    assert found("m = models.get_model('resnet_50')") == [(1, "HC205")]
    assert found("try:\n    m = models.resnet51()\nexcept AttributeError:\n    m = models.resnet50()") == []
