"""Looking up timm's models: names, tags and what `create_model` gives.

The file's ``builders`` have a row for each architecture: the number of its parameters in millions, the model (see
`headcheck.tracing.write`), the tags of its weights, each with what it sets otherwise than the default ones, and the
index of its kind. Where the model could not be traced, the first is null and the second the shape of an image.

``kinds`` have what rows have in common: the module that registers the models (an index into the list named by
``modules``), the number of classes by default (0: no head), what images are normalised with (``[mean, deviation]``),
and of what was traced also what keywords change and what was otherwise in older versions, see
`headcheck.catalog.timm_versions`; but for the earliest of them: ``earliest`` holds that, each time with the names of
the architectures.

Of the answers, ``bare`` is forward's with ``num_classes=0``, ``map`` with ``global_pool=""`` too.
Of the inputs, those that are what the top-level module before answers are left out; null ones are not known.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from headcheck.catalog import timm_versions
from headcheck.catalog.entries import View, of_view, open_place, view
from headcheck.catalog.entry import NAMES, NOTHING, Entry, Node, Plain, Shape
from headcheck.catalog.files import load, name_list, name_set, shared
from headcheck.catalog.nodes import Decoder, Overlaid
from headcheck.records import NamedTuple

_LIBRARY = "timm"
_MODELS = "timm.models"
_COUNT = "num_classes"
#: Keywords of `create_model` that leave the structure as it is.
_WITHOUT_EFFECT = frozenset({"pretrained", "cache_dir", "checkpoint_path", "scriptable", "exportable", "no_jit"})
#: Keywords that change the size of what is inside the model.
_SPATIAL = frozenset({"img_size", "dynamic_img_size", "output_stride"})
_IDENTITY = Node("torch.nn.Identity", {}, {}, {}, frozenset(), 0)


class Named(NamedTuple):
    """A model as `create_model` understands its name: the architecture and the tag of its weights ("" if none).

    That there is such a tag is not looked at: every version of timm has some more.
    """

    architecture: str
    tag: str

    @property
    def builder(self) -> str:
        """The canonical name of its builder."""
        return f"{_MODELS}.{self.architecture}"


def architectures() -> tuple[str, ...]:
    """Return the names of all architectures, in alphabetical order."""
    return tuple(sorted(load(_LIBRARY)["builders"]))


def version() -> str:
    """Return the version of timm that the catalog is of."""
    return str(load(_LIBRARY)["versions"]["timm"])


def resolve(name: str) -> Named | None:
    """Return what `create_model` makes of a name, a former name of a model that has another one included.

    None for a name that timm does not have.
    """
    architecture, _, tag = name.partition(".")
    data = load(_LIBRARY)
    current = data["deprecated"].get(architecture)
    if current is not None:
        architecture, _, known = current.partition(".")
        tag = tag or known
    return Named(architecture, tag) if architecture in data["builders"] else None


#: How `create_model` is told of a repository of timm's own on the hub, which goes by the name of its model.
_HUB = ("hf-hub:timm/", "hf_hub:timm/")


def on_hub(name: str) -> str | None:
    """Return the name of the model that a repository of timm's on the hub holds, None for any other name."""
    return next((name[len(prefix) :].partition("@")[0] for prefix in _HUB if name.startswith(prefix)), None)


def existed(name: str) -> bool:
    """Whether a name was one in some earlier version and has no successor."""
    return name.partition(".")[0] in name_set(_LIBRARY, load(_LIBRARY)["former"])


def canonical(name: str) -> str | None:
    """Return the name under which a builder is catalogued: ``timm.models.resnet50``, also for
    ``timm.models.resnet.resnet50`` and for ``timm.models.tv_resnet50``; None if it is no builder."""
    parts = name.split(".")
    if parts[:2] != ["timm", "models"] or len(parts) not in (3, 4):
        return None
    found = resolve(parts[-1])
    if found is None or (len(parts) == 4 and parts[2] != _module(found.architecture)):
        return None
    return found.builder


def helpers() -> frozenset[str]:
    """Return the names of `timm.models` that are no models."""
    return name_set(_LIBRARY, load(_LIBRARY)["namespaces"][_MODELS])


def _module(architecture: str) -> str:
    index: int = _row(architecture).module
    return name_list(_LIBRARY, load(_LIBRARY)["modules"])[index]


class Row(NamedTuple):
    """What a file says of an architecture; `model` is empty where it was not traced, `image` where it was.

    `tags`, `normal`, `facts` and `older` may be the indexes of what is shared with others.
    """

    total: float | None
    model: str
    image: list[int]
    tags: Any
    module: int
    classes: int
    normal: Any
    facts: Any
    older: Any


def row_of(data: Mapping[str, Any], architecture: str) -> Row:
    """Return what the data of a file say of an architecture."""
    total, model, tags, kind = data["builders"][architecture]
    module, classes, normal, *traced = data["kinds"][kind]
    facts, older = traced or (None, None)
    if total is None:
        return Row(None, "", model, tags, module, classes, normal, facts, older)
    return Row(total, model, [], tags, module, classes, normal, facts, older)


#: What a tag says of images, which the builder is not told.
_OF_IMAGES = frozenset({"mean", "std"})


@functools.lru_cache(maxsize=512)
def _row(architecture: str) -> Row:
    return row_of(load(_LIBRARY), architecture)


def _shared(item: Any) -> Any:
    return shared(_LIBRARY, item)


@functools.lru_cache(maxsize=512)
def _view(architecture: str, classes: int) -> View:
    return view(load(_LIBRARY), _row(architecture).model, {_COUNT: classes})


def _image(architecture: str) -> list[int]:
    row = _row(architecture)
    found: list[int] = _view(architecture, row.classes).input if row.model else row.image
    return found


class Images(NamedTuple):
    """What a model is called with: the shape of one image, the mean and the deviation that it is normalised with."""

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def images(named: Named) -> Images:
    """Return what the images are that the weights of a tag were trained on."""
    shape = _image(named.architecture)
    mean, std = _shared(_row(named.architecture).normal)
    tag = _shared(_row(named.architecture).tags).get(named.tag, {})
    size = tag.get("img_size") or shape[1:]
    return Images((tag.get("in_chans", shape[0]), *size), tuple(tag.get("mean", mean)), tuple(tag.get("std", std)))


def parameters(architecture: str) -> float | None:
    """Return how many millions of parameters a model has, None where that is not kept."""
    row = _row(architecture)
    return None if row.total is None else float(row.total)


def classifier(architecture: str, versions: tuple[int, ...] = timm_versions.USUAL) -> tuple[str, ...]:
    """Return the paths of what `get_classifier` answers; several where it answers a tuple, none if that is unknown.

    `versions` are those that the project may have, see `find`.
    """
    row = _row(architecture)
    if not row.model:
        return ()
    found = tuple(_view(architecture, row.classes).classifier)
    return timm_versions.classifier(found, _older(architecture, row), versions)


def _older(architecture: str, row: Row) -> list[Any]:
    """What was otherwise in each older version, nothing if that is not kept."""
    later = _shared(row.older)
    return [_earliest().get(architecture, timm_versions.ABSENT), *later] if later else []


@functools.cache
def _earliest() -> dict[str, Any]:
    return {name: edits for edits, names in load(_LIBRARY)["earliest"] for name in names.split()}


def default_classes(named: Named) -> int:
    """Return how many classes a model has when it is not told otherwise; 0: it has no head."""
    found = _overrides(named).get("num_classes", _row(named.architecture).classes)
    assert isinstance(found, int)
    return found


def tags(architecture: str) -> dict[str, int]:
    """Return the tags of the weights of a model, and how many classes they have (0: no head)."""
    row = _row(architecture)
    return {tag: settings.get("num_classes", row.classes) for tag, settings in _shared(row.tags).items()}


def _overrides(named: Named) -> dict[str, Any]:
    found = _shared(_row(named.architecture).tags).get(named.tag, {})
    return {name: value for name, value in found.items() if name not in _OF_IMAGES}


UNKNOWN_VALUE = "<unknown>"


def find(named: Named, keywords: Mapping[str, Plain], versions: tuple[int, ...] = timm_versions.USUAL) -> Entry | None:
    """Return what `create_model` gives for a name and these keywords, or None where the catalog cannot tell.

    What holds in all the `versions` is returned, by their places in `headcheck.catalog.timm_versions`.

    Keywords that are None count as not given, as in timm. A keyword may be `UNKNOWN_VALUE`: what it changes is then as
    unknown as for any other value. (``num_classes`` may not, for 0 takes the head away.)
    """
    row = _row(named.architecture)
    classes, shape = row.classes, _image(named.architecture)
    given = {name: value for name, value in keywords.items() if value is not None and name not in _WITHOUT_EFFECT}
    settings = {**_overrides(named), **given}
    classes = settings.pop("num_classes", classes)
    if settings.get("in_chans") == shape[0]:
        del settings["in_chans"]
    size = _pair(settings.pop("img_size", None))
    if size is not None and size != tuple(shape[1:]):
        settings["img_size"] = size
    if type(classes) is not int or not all(map(_is_hashable, settings.values())):
        return None
    return _find(named.architecture, classes, tuple(sorted(settings.items())), versions)


def _pair(size: Any) -> Any:
    return (size, size) if type(size) is int else tuple(size) if isinstance(size, list) else size


def _is_hashable(value: object) -> bool:
    return isinstance(value, (int, float, str, bool, tuple, type(None)))


@functools.lru_cache(maxsize=512)
def _find(
    architecture: str, classes: int, settings: tuple[tuple[str, Any], ...], versions: tuple[int, ...]
) -> Entry | None:
    row = _row(architecture)
    if not row.model:
        return None
    seen = _view(architecture, classes)
    shape = seen.input
    passed = dict(settings)
    changes = _changes(_shared(row.facts), classes, passed)
    if changes is None:
        return None
    decoder = Decoder(_LIBRARY, {_COUNT: classes})
    entry = of_view(decoder, f"{_MODELS}.{architecture}", "classification", row.model, "autograd", seen)
    older = _older(architecture, row)
    is_new = timm_versions.is_new(older, versions)
    top = _changed(entry.root if is_new else _without_moving_width(entry.root), changes)
    usual = entry.heads
    if classes == 0:
        for head in entry.heads:
            if _has(top, head.path):  # else all of what held it is unknown
                top = _put(top, head.path, _IDENTITY)
    forward = "map" if passed.get("global_pool") == "" else "bare"
    entry = entry._replace(
        root=top,
        heads=entry.heads if classes else (),
        inputs=_fitting(_inputs(entry), passed, shape[0]),
        outputs=_fitting(entry.outputs, passed, None),
        input=_input(tuple(shape), passed),
    )
    found = timm_versions.changed(entry, older, versions)
    if found is None:
        return None
    others = {name: answer for name, answer in found.answers.items() if name not in ("bare", "map")}
    answers = _fitting(others, passed, None)
    if classes == 0 and forward in found.answers:
        answers["forward"] = found.answers[forward]
        if len(usual) == 1:
            return _with_place(found._replace(answers=answers), usual[0].path)
    return found._replace(answers=answers)


def _with_place(entry: Entry, path: str) -> Entry:
    """Return a model without a head with the place of the one that it has else, if all that is known of it says that
    the model answers what reaches that place."""
    shape = entry.answers["forward"]
    if len(shape) != 1 or None in shape or entry.inputs.get(path) != shape or not _has(entry.root, path):
        return entry
    return entry._replace(open=(open_place(entry, path),), outputs={**entry.outputs, path: shape})


def _changes(facts: Mapping[str, Any], classes: int, settings: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Return what each setting changes, None if there are no facts on one of them."""
    without = "map" if settings.get("global_pool") == "" else "bare" if classes == 0 else None
    if without == "map" and classes:
        return None  # a head on a map: some models refuse that
    found: list[Any] = [facts.get(without)] if without is not None else []
    for name, value in settings.items():
        if name != "global_pool":
            found.append(facts.get(name))
        elif value != "":
            found.append(facts["global_pool"].get(value))
    return None if None in found else found


def _inputs(entry: Entry) -> dict[str, Shape]:
    """Return the inputs of an entry with those that the file leaves out."""
    found: dict[str, Shape] = {}
    before: Shape | None = None
    for name in entry.root.children:
        given = entry.inputs.get(name, before)
        if given:
            found[name] = given
        before = entry.outputs.get(name)
    return {**found, **{path: shape for path, shape in entry.inputs.items() if "." in path}}


def _fitting(shapes: Mapping[str, Shape], settings: Mapping[str, Any], channels: int | None) -> dict[str, Shape]:
    """Return the shapes that hold with some settings too; an input with so many `channels` is that of the images."""
    pooled = settings.get("global_pool") != ""
    spatial = bool(_SPATIAL & settings.keys())
    stem = channels if "in_chans" in settings else None
    return {
        path: shape
        for path, shape in shapes.items()
        if 0 not in shape  # the number of classes
        and (len(shape) > 1 or pooled)
        and (len(shape) == 1 or not spatial)
        and (len(shape) != 3 or stem is None or shape[0] != stem)
    }


def _input(shape: tuple[int, ...], settings: Mapping[str, Any]) -> tuple[int, ...]:
    channels, sides = settings.get("in_chans"), settings.get("img_size", ())
    known = len(sides) == 2 and all(type(side) is int for side in sides)
    return (channels if type(channels) is int else shape[0], *(sides if known else shape[1:]))


# -- nodes -----------------------------------------------------------------------------------------------------------


def _without_moving_width(root: Node) -> Node:
    """Return a model without the value of `num_features` where that depends on timm's version.

    Until 0.9 it was the width of what reaches the last layer, which is `head_hidden_size` since 1.0.
    """
    same = root.values.get("num_features") == root.values.get("head_hidden_size")
    return root if same else _hidden(root, frozenset({"num_features"}), below=False)


def _changed(root: Node, changes: list[Mapping[str, Any]]) -> Node:
    for change in changes:
        for path, what in change.items():
            if not path:
                root = _hidden(root, frozenset(what), below=False)
            elif isinstance(what, list):
                root = _put(root, path, _hidden(root.children[path], frozenset(what)))
            else:
                root = _put(root, path, _named(root.children[path]) if what == NAMES else _NOTHING)
    return root


_NOTHING = Node("", {}, {}, {}, frozenset(), None, NOTHING)


def _hidden(node: Node, names: frozenset[str], below: bool = True) -> Node:
    """Return a module, and what is below it, with some values no longer known."""
    gone = names & node.values.keys()
    return node.changed(
        values={name: value for name, value in node.values.items() if name not in gone},
        attributes=node.attributes | gone,
        children={n: _hidden(child, names) for n, child in node.children.items()} if below else node.children,
    )


def _named(node: Node) -> Node:
    """Return a module of which only the names are known."""
    return node.changed(
        values={},
        children={name: _named(child) for name, child in node.children.items()},
        parameters=dict.fromkeys(node.parameters),
        attributes=frozenset(),
        total=None,
        known=NAMES,
    )


def _has(node: Node, path: str) -> bool:
    name, _, rest = path.partition(".")
    return name in node.children and (not rest or _has(node.children[name], rest))


def _put(node: Node, path: str, part: Node) -> Node:
    name, _, rest = path.partition(".")
    child = _put(node.children[name], rest, part) if rest else part
    return node.changed(children=Overlaid(node.children, {name: child}), total=None)
