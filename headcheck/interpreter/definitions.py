"""Functions, classes and imports: one handler each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from headcheck import catalog, events
from headcheck.interpreter import access, modules, naming
from headcheck.interpreter.heap import Instance
from headcheck.interpreter.state import State, go_back
from headcheck.interpreter.values import (
    Bound,
    Class,
    Function,
    Lazy,
    Library,
    Method,
    Partial,
    Symbol,
    Value,
    is_unknown,
    symbol,
)
from headcheck.ir import (
    GENERATOR,
    Define,
    DefineClass,
    Import,
    ImportFrom,
    Variable,
)
from headcheck.ir.scopes import scope_of

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


# Packages whose members are what their names say; any other module may hold anything.
PACKAGES = frozenset(
    [
        *sys.stdlib_module_names,
        "IPython", "PIL", "accelerate", "addict", "apex", "attr", "attrs", "click", "cv2", "easydict",
        "efficientnet_pytorch", "fastai", "hydra", "ignite", "lightning", "matplotlib", "ml_collections",
        "munch", "numpy", "omegaconf", "open_clip", "pandas", "peft", "pretrainedmodels", "pydantic",
        "pytorch_lightning", "resnest", "segmentation_models_pytorch", "sklearn", "timm", "toml", "tomli", "torch",
        "torchaudio", "torchinfo", "torchmetrics", "torchsummary", "torchvision", "tqdm", "transformers",
        "typer", "wandb", "yacs", "yaml",
    ]
)  # fmt: skip


#: Packages beside those which leave models as they are, but for their weights, and register none with timm.
QUIET = frozenset(
    """
    absl addict aim albumentations altair attr av avalanche boto3 bs4 captum chardet clearml click cloudpickle
    colorama comet_ml datasets dateutil decord dill diskcache docx dotenv easydict einops evaluate fairscale faiss
    fastapi filelock fire flask fsspec ftfy fvcore gdown google gradio h5py huggingface_hub hydra hyperopt imagehash
    imageio imgaug ipdb IPython ipywidgets jinja2 joblib jsonargparse jsonschema kaggle keras kornia librosa
    lightgbm lmdb loguru mlflow monai msgpack munch natsort neptune networkx nibabel nltk numba nvidia onnx
    onnxruntime opencv openpyxl optuna orjson packaging patoolib peewee pickle5 pkg_resources plotly polars
    prettytable progressbar psutil ptflops py7zr pyarrow pycocotools pydantic pydicom pylab pynvml pytest
    pytorch_grad_cam pytorchtools pytz rasterio ray regex requests rich safetensors scipy seaborn sentencepiece shap
    shapely simplejson six skimage sklearn smdebug streamlit submitit sympy tabulate telegram tensorboard tensorboardX
    tensorflow termcolor thop tifffile timeit tokenizers toml torch_ema torch_optimizer torchcam torchinfo torchio
    torchsummary torchsummaryX torchtoolbox typer typing_extensions ujson umap uvicorn visdom xgboost xlrd yacs yaml
    zarr
    """.split()
)

#: Packages that only keep a record of models, or count what there is in them: what they are given stays as it is.
RECORDING = frozenset(
    """
    aim clearml comet_ml mlflow neptune ptflops smdebug tensorboard tensorboardX thop torchstat torchsummaryX torchview
    torchviz visdom wandb
    """.split()
)


SETTER = "setter"


def on_define(machine: Machine, op: Define, state: State) -> None:
    machine.definitions[id(op)] = op
    machine.home_of[id(op)] = state.frame.module
    defaults = tuple((p.name, machine.read(state, p.default)) for p in op.parameters if p.has_default)
    closure: tuple[tuple[str, Value], ...] = ()
    if not state.at_home():
        names = [n for n in scope_of(op).free if n in state.env or n in state.frame.closure]
        closure = tuple(
            (n, symbol("closure", n, id(op), n) if n in op.unsteady else machine.read(state, Variable(n)))
            for n in sorted(names)
        )
    wrapper, stand_ins = wrapper_of(machine, state, op), stand_ins_for(machine, state, op)
    if wrapper == SETTER:  # the name stays what reads the property
        return
    function = Function(id(op), defaults, closure, state.frame.module, wrapper, stand_ins)
    value: Value = Lazy(function) if op.name == GENERATOR else function
    state.env[op.target] = decorated(machine, state, op, value)


def decorated(machine: Machine, state: State, op: Define | DefineClass, value: Value) -> Value:
    """What the script's own decorators make of a function or class; others are taken to leave it as it is."""
    for operand in reversed(op.decorators):
        decorator = machine.read(state, operand)
        calls = type(decorator) in (Bound, Function, Partial)
        if calls or is_wrapper(state, decorator, op):
            made = machine.call_quietly(state, decorator, (value,), {}, op)
            value = value if is_unknown(made) and type(decorator) is not Function else made
    return value


def is_wrapper(state: State, decorator: Value, op: Define | DefineClass) -> bool:
    """Whether a decorator of a function is a class of the script's, or an object of one, that is called for it."""
    thing = state.object(decorator)
    cls = decorator if type(decorator) is Class else thing.cls if type(thing) is Instance else None
    return isinstance(op, Define) and cls is not None and access.class_attribute(cls, "__call__") is not None


def wrapper_of(machine: Machine, state: State, op: Define) -> str:
    """Which of the built-in decorators a function wears, or ``registered`` where it is a model for timm to make; any
    other leaves the function as it is."""
    for operand in op.decorators:
        value = machine.read(state, operand)
        name = value.name.rsplit(".", 1)[-1] if type(value) is Library else ""
        if name == "register_model" and value.name.startswith("timm."):
            return "registered"
        if name in ("staticmethod", "classmethod"):
            return name
        if name in ("property", "cached_property"):
            return "property"
        if type(value) is Method and value.name in ("setter", "deleter"):
            return SETTER
    return ""


def stand_ins_for(machine: Machine, state: State, op: Define) -> int:
    """How many arguments the decorators of a function give it: ``@patch("lab.build")`` gives one."""
    values = (machine.read(state, operand) for operand in op.decorators)
    keys = (value.key for value in values if type(value) is Symbol)
    return sum(isinstance(key, tuple) and key[0] == "stand-in" for key in keys)


def on_define_class(machine: Machine, op: DefineClass, state: State) -> list[State]:
    machine.definitions[id(op)] = op
    bases = tuple(machine.read(state, base) for base in op.bases)
    outer, at_home = state.env, state.at_home()
    frame = state.frame
    closure = frame.closure if at_home else {**frame.closure, **outer}
    state.env = {}
    state.frame = frame._replace(closure=closure)
    after = machine.run(op.body, [state])
    for one in after:
        attributes = tuple((k, v) for k, v in one.env.items() if k[0] != "%")
        one.frame = frame
        go_back(one, at_home, outer, len(after))
        made = Class(id(op), op.name, bases, attributes, frame.module, op.fields)
        one.env[op.target] = decorated(machine, one, op, made) if op.decorators and not one.ended else made
        if one.ended in ("return", "break", "continue"):
            one.end("")
    return after


def on_import(machine: Machine, op: Import, state: State) -> list[State] | None:
    followed = modules.run_import(machine, state, op)
    if followed is not None:
        return followed
    if machine.project.is_local(op.module, 0, state.frame.module) or is_foreign(op.module):
        state.env[op.target] = symbol("module", op.module, op.module)
    else:
        state.env[op.target] = Library(op.module)
    return None


def on_import_from(machine: Machine, op: ImportFrom, state: State) -> list[State] | None:
    followed = modules.run_import_from(machine, state, op)
    if followed is not None:
        return followed
    local = machine.project.is_local(op.module, op.level, state.frame.module) or is_foreign(op.module)
    if op.name == "*":
        if not local:
            for name in catalog.names(op.module):
                state.env[name] = Library(naming.member_name(op.module, name))
        else:
            state.env[f"*{op.module}"] = symbol("module", op.module, op.module)
        return None
    if local:
        state.env[op.target] = modules.unknown_member(op, state.frame.module)
    elif catalog.is_misspelt(op.module, op.name):
        if not state.guards:
            state.log(events.UnknownName(op, op.module, op.name))
        state.end("raise", "ImportError")
    else:
        state.env[op.target] = Library(naming.member_name(op.module, op.name))
    return None


def is_foreign(module: str) -> bool:
    return module.split(".", 1)[0] not in PACKAGES


def is_of_unread_module(function: Value) -> bool:
    """Whether a function is of a module that is not followed, and not of a package that leaves models as they are."""
    key: Any = function.key if type(function) is Symbol else None
    while isinstance(key, tuple) and key[0] in WAYS:
        inner = key[WAYS[key[0]]]
        key = inner.key if type(inner) is Symbol else None
    return isinstance(key, tuple) and key[0] == "module" and str(key[1]).partition(".")[0] not in QUIET


def only_records(function: Value) -> bool:
    """Whether a function, or the object it is a method of, is of a package that only keeps a record of models."""
    while type(function) is Symbol and isinstance(function.key, tuple) and function.key[0] in WAYS:
        function = function.key[WAYS[function.key[0]]]
    if type(function) is Symbol and isinstance(function.key, tuple) and function.key[0] == "module":
        function = function.key[1]
    module = function.name if type(function) is Library else function if isinstance(function, str) else ""
    return module.partition(".")[0] in RECORDING or module.startswith("torch.utils.tensorboard")


# Where the unknown stands that another one was got from: an attribute of it, or what it answered.
WAYS = {"attribute": 1, "call": 1, "call at": 2}
