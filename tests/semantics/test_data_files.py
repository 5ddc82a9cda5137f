"""JSON, YAML and TOML files of the project, opened by a name that the script says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from headcheck import pipeline
from headcheck.semantics.files import MOST_VALUES
from headcheck.settings import Settings
from headcheck.source.data import MOST_BYTES

START = "import argparse, json, os, yaml\nfrom torch import nn\nfrom torchvision import models\n"
END = "model = models.resnet50(weights='DEFAULT')\nmodel.fc = nn.Linear(config['model']['features'], 10)\n"
YAML = "model:\n  features: 512\n  names: [a, b]\n"
JSON = json.dumps({"model": {"features": 512, "names": ["a", "b"]}})
OMEGA = "from omegaconf import OmegaConf\nconfig = OmegaConf.load('config.yaml')\n"
TOML = "[model]\nfeatures = 512\nnames = ['a', 'b']\n"
WITH = "with open('config.yaml') as f:\n    config = yaml.safe_load(f)\n"


def found(root: Path, script: str, end: str = END, **files: str) -> list[tuple[str, tuple[str, ...]]]:
    (root / "pyproject.toml").touch()
    for name, text in {"train__py": START + script + end, **files}.items():
        path = root / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    (result,) = pipeline.run([str(root / "train.py")], Settings(confirm=False)).files
    return [(finding.code, finding.conditions) for finding in result.findings]


@pytest.mark.parametrize(
    "script",
    [
        WITH,
        "config = yaml.safe_load(open('config.yaml', 'r'))\n",
        "config = yaml.load(open('./config.yaml'), Loader=yaml.FullLoader)\n",
        "f = open('config.yaml', 'rb')\nconfig = yaml.full_load(f.read())\nf.close()\n",
        "with open('config.json', encoding='utf-8') as f:\n    config = json.load(f)\n",
        "config = json.loads(open('config.json').read())\n",
        "def read(path):\n    with open(path) as f:\n        return json.load(f)\nconfig = read('config.json')\n",
        "PATH = 'conf/config.json'\nconfig = json.load(open(PATH))\n",
        "import tomllib\nwith open('config.toml', 'rb') as f:\n    config = tomllib.load(f)\n",
        "import toml\nconfig = toml.load('config.toml')\n",
        OMEGA,
        OMEGA.replace(
            "OmegaConf.load('config.yaml')", "OmegaConf.merge(OmegaConf.load('config.yaml'), OmegaConf.from_cli())"
        ),
        "p = argparse.ArgumentParser()\np.add_argument('--config', default='config.yaml')\na = p.parse_args()\n"
        "config = yaml.safe_load(open(a.config))\n",
    ],
)
def test_what_a_file_holds_is_known(tmp_path, script):
    files = {"config__yaml": YAML, "config__json": JSON, "conf___config__json": JSON, "config__toml": TOML}
    ((code, (condition,)),) = found(tmp_path, script, **files)
    assert code == "HC101" and "as found here" in condition


@pytest.mark.parametrize(
    "script, files",
    [
        (WITH, {}),
        (WITH, {"config__yaml": "model: {features: [512\n"}),
        (WITH, {"config__yaml": "model:\n  features: !!python/object:os.system {}\n"}),
        (WITH, {"config__yaml": YAML + "#" * MOST_BYTES[".yaml"]}),
        (WITH, {"config__yaml": YAML + f"more: [{'1, ' * MOST_VALUES}]"}),
        (WITH, {"config__yaml": YAML.replace("512", "2048")}),
        ("with open('config.yaml', 'w') as f:\n    yaml.dump({}, f)\n" + WITH, {"config__yaml": YAML}),
        (WITH.replace("config.yaml", "../config.yaml"), {}),
        (WITH.replace("config.yaml", "config.txt"), {"config__txt": YAML}),
        (WITH.replace("open('config.yaml')", "open(os.environ['CONFIG'])"), {"config__yaml": YAML}),
        (WITH.replace("yaml.safe_load(f)", "other(f)"), {"config__yaml": YAML}),
        ("import toml\nconfig = toml.load('config.toml')\n", {"config__toml": TOML + "names = ["}),
        (OMEGA, {"config__yaml": "size: 512\nmodel:\n  features: ${size}\n"}),
        (OMEGA, {"config__yaml": "model:\n  features: ???\n"}),
        (
            OMEGA.replace("load('config.yaml')", "merge(OmegaConf.load('config.yaml'), others())"),
            {"config__yaml": YAML},
        ),
    ],
)
def test_what_is_not_known(tmp_path, script, files):
    (tmp_path / "config.yaml").write_text(YAML)
    root = tmp_path / "project"
    root.mkdir()
    assert found(root, script, **files) == []


def test_of_two_files_of_one_name_nobody_knows_which(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "config.yaml").write_text(YAML)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "train.py").write_text(START + WITH + END)
    script = str(tmp_path / "deep" / "train.py")

    def codes() -> list[str]:
        (result,) = pipeline.run([script], Settings(confirm=False)).files
        return [finding.code for finding in result.findings]

    assert codes() == ["HC101"]
    (tmp_path / "deep" / "config.yaml").write_text(YAML)
    assert codes() == []


def test_a_file_does_not_hide_what_other_contents_show(tmp_path):
    end = "model = models.resnet50(weights='DEFAULT')\nif config['wide']:\n    model.fc = nn.Linear(512, 10)\n"
    assert found(tmp_path, WITH, end, config__yaml="wide: false\n") == [("HC101", ())]


def test_names_that_stand_for_one_another_take_no_time(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 30)]
    start = time.perf_counter()
    assert found(tmp_path, WITH, config__yaml="\n".join(lines)) == []
    assert time.perf_counter() - start < 20


HYDRA = """import hydra
@hydra.main(config_path="conf", config_name="train", version_base=None)
def main(config):
    model = models.resnet50(weights="DEFAULT")
    model.fc = nn.Linear(config.model.features, config["classes"])
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    "train, wrong",
    [
        ("model: {features: 512}\nclasses: 3\n", True),
        ("model: {features: 2048}\nclasses: 3\n", False),
        ("defaults:\n  - model: small\n  - _self_\nclasses: 3\n", True),
        ("defaults: [model/small]\nclasses: 3\n", True),
        ("defaults: [base]\nclasses: 3\n", True),
        ("defaults:\n  - model: small\nmodel: {features: 2048}\nclasses: 3\n", False),  # its own come last
        ("defaults:\n  - _self_\n  - model: small\nmodel: {features: 2048}\nclasses: 3\n", True),
        ("defaults:\n  - model: deep\nclasses: 3\n", True),  # which names `small` beside it
        ("defaults:\n  - model: small\n  - override hydra/launcher: joblib\nclasses: 3\n", True),
        ("defaults:\n  - model: small\n  - optional extra: null\nclasses: 3\n", True),
        ("defaults:\n  - model: absent\nclasses: 3\n", False),
        ("defaults:\n  - model@other: small\nclasses: 3\n", False),
        ("defaults:\n  - model: round\nclasses: 3\n", False),
        ("defaults: 3\nclasses: 3\n", False),
    ],
)
def test_what_hydra_puts_together(tmp_path, train, wrong):
    files = {
        "conf___train__yaml": train,
        "conf___base__yaml": "model: {features: 512}\n",
        "conf___model___small__yaml": "features: 512\n",
        "conf___model___deep__yaml": "defaults: [small]\nlayers: 3\n",
        "conf___model___round__yaml": "defaults: [round]\n",
    }
    assert [code for code, _ in found(tmp_path, HYDRA, "", **files)] == ["HC101"] * wrong
