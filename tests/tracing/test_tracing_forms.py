"""Modules of one form: what is written of them gives them back, and what follows from other numbers is not said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from torch import nn

from headcheck.catalog import files, forms, nodes
from headcheck.catalog.entries import view
from headcheck.catalog.entry import NAMES, Node
from headcheck.tracing import write
from headcheck.tracing.forms import letter, word, worked_out
from headcheck.tracing.tree import Scaled, Tree, describe
from headcheck.tracing.views import Views

#: More letters than the alphabet has, numbers that follow from one and from two, and such that are no whole ones.
VECTORS = (
    [[1, 64, 64, 256, 0.5], [1, 128, 128, 512, 0.25]],
    [[16, 3, 48, 19, 13], [24, 4, 96, 28, 20], [40, 7, 280, 47, 33]],
    [[0, 0, -8], [2, 8, 0], [2, 6, -2]],
    [[1, 1.0, True], [2, 2.0, True]],
    [[place * row % 97 for place in range(60)] for row in (1, 2, 3, 5)],
    [[64, Scaled("classes", 1, 0)], [Scaled("classes", 3, 1), 64]],
)


@pytest.mark.parametrize("vectors", VECTORS, ids=str)
def test_words_give_the_numbers_back(vectors: Sequence[Sequence[Any]]) -> None:
    words, letters = worked_out(vectors)
    counts = {"classes": 10}
    for vector in vectors:
        given = tuple(forms.value(forms.term(word(vector[place])), (), counts) for place in letters)
        found = [forms.value(forms.term(each), given, counts) for each in words]
        wanted = [each.at(counts) if isinstance(each, Scaled) else each for each in vector]
        assert repr(found) == repr(wanted)


def test_what_follows_from_others_has_no_letter() -> None:
    assert worked_out([[8, 16, 4, 8, 3], [16, 32, 8, 16, 3]]) == (["A", "2A", "A/2", "A", "3"], [0])
    assert worked_out([[1, 2, 3], [4, 7, 11], [5, 0, 5]]) == (["A", "B", "A+B"], [0, 1])
    assert [letter(place) for place in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]


def same(tree: Tree, node: Node) -> bool:
    known = (tree.kind, dict(tree.values), dict(tree.parameters), tree.attributes)
    return known == (node.kind, node.values, node.parameters, node.attributes) and [
        (name, same(child, node.children[name])) for name, child in tree.children
    ] == [(name, True) for name in node.children]


def test_modules_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def block(width: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(width, 4 * width, 3), nn.BatchNorm2d(4 * width), nn.ReLU())

    class Model(nn.Module):
        def __init__(self, depth: int, width: int) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, width, (3, 5), padding=1)
            self.blocks = nn.Sequential(*(block(width) for _ in range(depth)))
            self.rest = nn.Sequential(*(block(width) for _ in range(2)))
            self.scale = nn.Parameter(self.stem.weight.sum())
            self.head = nn.Linear(width, 10)

    trees = [describe(Model(depth, width)) for depth, width in ((1, 8), (3, 8), (12, 32))]
    table = write.Table()
    roots = [table.collect(tree, frozenset(["rest"])) for tree in trees]
    data = {"format": files.FORMAT, "library": "torch", "entries": roots, **table.data()}
    write.write(data, tmp_path / "torch.json")
    written = json.loads((tmp_path / "torch.json").read_text(encoding="utf-8"))
    assert len({root.partition(" ")[0] for root in written["entries"]}) == 1  # of one form, whatever their depth
    monkeypatch.setattr(files, "_FOLDER", tmp_path)
    caches = (files.load, files.name_list, files.name_set, forms.layout, forms.form, forms.children)
    for cached in caches:
        cached.cache_clear()
    try:
        for tree, root in zip(trees, written["entries"], strict=True):
            node = nodes.Decoder("torch", {}).node(root)
            open_ = node.children["rest"]
            assert (open_.known, list(open_.children["1"].children)) == (NAMES, ["0", "1", "2"])
            assert node.total is None
            for name, child in tree.children:
                assert name == "rest" or same(child, node.children[name])
            assert node.parameters == {"scale": ()}
            assert node.children["blocks"].total == sum(_sizes(dict(tree.children)["blocks"]))
    finally:
        for cached in caches:
            cached.cache_clear()


def test_what_is_kept_beside_modules_is_read_as_it_was_written() -> None:
    classes = Scaled("num_classes", 1, 0)

    def item(side: int, width: int) -> list[Any]:
        heads = [["fc", [width], False, True, True, [""]]]
        inputs = ["stem fc", [[3, side, side], [width]]]
        outputs = ["stem fc", [[width, side // 4, None], [classes]]]
        return [[3, side, side], heads, inputs, outputs, "stem fc", [], {"features": [width, None]}, ["fc"]]

    sizes = [(224, 512), (384, 1024), (32, 8)]
    views = Views()
    for number, (side, width) in enumerate(sizes):
        views.add(number, item(side, width))
    kept, models = views.texts([f"5 {width} 9" for _, width in sizes])
    assert (len(kept), models) == (1, ["5 512 9|0 224 A", "5 1024 9|0 384 A", "5 8 9|0 32 8"])
    for (side, width), model in zip(sizes, models, strict=True):
        found = view({"views": json.loads(json.dumps(kept))}, model, {"num_classes": 7})
        assert found.input == [3, side, side]
        assert found.heads == [["fc", [width], False, True, True, [""]]]
        assert found.outputs == ["stem fc", [[width, side // 4, None], [7]]]
        assert (found.answers, found.classifier) == ({"features": [width, None]}, ["fc"])


def _sizes(tree: Tree) -> list[int]:
    own = []
    for _, shape in tree.parameters:
        size = 1
        for side in shape:
            assert isinstance(side, int)
            size *= side
        own.append(size)
    return own + [size for _, child in tree.children for size in _sizes(child)]
