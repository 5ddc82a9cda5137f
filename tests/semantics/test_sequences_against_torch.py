"""Recurrent layers, their cells, and attention: headcheck says what PyTorch answers, and raises where PyTorch does."""

import itertools

import pytest

from headcheck.interpreter.values import Symbol, Tensor, Tuple
from headcheck.semantics.recurrent import unpacked
from tests.reading import only, raw

WAYS = [
    "",
    "bidirectional=True",
    "num_layers=2",
    "batch_first=True",
    "num_layers=2, bidirectional=True, batch_first=True",
]
BUILT = [
    *(f"nn.{kind}(6, 4, {way})" for kind in ("RNN", "LSTM", "GRU") for way in WAYS),
    *(f"nn.LSTM(6, 4, proj_size=3, {way})" for way in WAYS),
    "nn.RNN(6, 4, 2, 'relu', True, True)",
    "nn.GRU(6, 4, 2, True, True, 0.0, True)",
    "nn.LSTM(6, 4, 2, True, False, 0.0, True, 3)",
]
SHAPES = [(5, 2, 6), (5, 6), (1, 5, 6), (5, 2, 7), (5, 7), (6,), (2, 5, 2, 6)]
CELLS = [
    (f"nn.{kind}Cell(6, 4)", shape)
    for kind, shape in itertools.product(("RNN", "LSTM", "GRU"), [(2, 6), (6,), (2, 7), (7,), (5, 2, 6)])
]
ATTENTION = [
    ("nn.MultiheadAttention(6, 2)", "x, x, x"),
    ("nn.MultiheadAttention(6, 2, batch_first=True)", "x, y, y"),
    ("nn.MultiheadAttention(6, 2)", "x, x[:3], x[:3]"),
    ("nn.MultiheadAttention(6, 2)", "x[:, 0], x[:, 0], x[:, 0]"),
    ("nn.MultiheadAttention(6, 2, kdim=8, vdim=8)", "x, y, y"),
    ("nn.MultiheadAttention(6, 2, kdim=8)", "query=x, key=y, value=x"),
    ("nn.MultiheadAttention(6, 2, vdim=8)", "query=x, value=y, key=x"),
    ("nn.MultiheadAttention(6, 2, kdim=8, vdim=8)", "x, x, x"),
    ("nn.MultiheadAttention(8, 2)", "x, x, x"),
    ("nn.MultiheadAttention(8, 2)", "y, x, x"),
    ("nn.MultiheadAttention(6, 2)", "z, z, z"),
    ("nn.TransformerEncoderLayer(6, 2)", "x"),
    ("nn.TransformerEncoderLayer(6, 2)", "src=x[0]"),
    ("nn.TransformerEncoderLayer(6, 2)", "y"),
    ("nn.TransformerEncoderLayer(6, 2)", "z"),
    ("nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2), 2)", "x"),
    ("nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2)", "src=x"),
    ("nn.TransformerDecoderLayer(6, 2)", "x, x[:3]"),
    ("nn.TransformerDecoderLayer(6, 2)", "x, memory=y"),
    ("nn.TransformerDecoderLayer(6, 2)", "y, x"),
    ("nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2), 2)", "x, x"),
    ("nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2), 2)", "tgt=x, memory=y"),
    ("nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), 2)", "x, x"),
]
STATES = [
    (f"nn.{kind}(6, 4, 2)", shape)
    for kind, shape in itertools.product(("RNN", "GRU"), [(2, 2, 4), (1, 2, 4), (2, 3, 4), (2, 2, 5), (2, 4)])
]
PAIRS = [("(2, 2, 4)", "(2, 2, 4)"), ("(2, 2, 4)", "(2, 2, 3)"), ("(1, 2, 4)", "(2, 2, 4)"), ("(2, 4)", "(2, 4)")]
PACKED = [
    (built, width)
    for built in ("nn.GRU(6, 4)", "nn.LSTM(6, 4, 2, bidirectional=True)", "nn.LSTM(6, 4, proj_size=3)", "nn.RNN(6, 4)")
    for width in (6, 7)
]


def scripts():
    for built, shape in itertools.product(BUILT, SHAPES):
        yield pytest.param(f"layer = {built}", f"layer(torch.rand{shape})", id=f"{built} {shape}")
    for built, shape in CELLS:
        yield pytest.param(f"layer = {built}", f"layer(torch.rand{shape})", id=f"{built} {shape}")
    for built, given in ATTENTION:
        made = "x, y, z = torch.rand(5, 2, 6), torch.rand(5, 2, 8), torch.rand(3, 5, 2, 6)"
        yield pytest.param(f"layer = {built}\n{made}", f"layer({given})", id=f"{built} {given}")
    for built, shape in STATES:
        yield pytest.param(f"layer = {built}", f"layer(torch.rand(5, 2, 6), torch.rand{shape})", id=f"{built} {shape}")
    for one, two in PAIRS:
        given = f"(torch.rand{one}, torch.rand{two})"
        yield pytest.param("layer = nn.LSTM(6, 4, 2)", f"layer(torch.rand(5, 2, 6), {given})", id=f"{one} {two}")
    for built, width in PACKED:
        given = f"rnn.pack_padded_sequence(torch.rand(5, 2, {width}), [5, 3])"
        yield pytest.param(f"layer = {built}", f"layer({given})", id=f"{built} packed {width}")
        yield pytest.param(
            f"layer = {built}", f"(rnn.pad_packed_sequence(layer({given})[0])[0],)", id=f"{built} padded {width}"
        )


IMPORTS = "import torch\nfrom torch import nn\nfrom torch.nn.utils import rnn\n"


def sizes(answer):
    """The shapes in what headcheck or PyTorch answers, as far as there are any."""
    if type(answer) is Symbol and unpacked(answer) is not None:
        return unpacked(answer).shape
    if hasattr(answer, "batch_sizes"):
        return tuple(answer.data.shape)
    if type(answer) is Tuple or (isinstance(answer, tuple) and type(answer) is not Tensor):
        return [sizes(each) for each in getattr(answer, "items", None) or answer]
    return tuple(answer.shape) if hasattr(answer, "shape") else None


def agree(said, real):
    """Whether shapes are the real ones. The weights of attention are not said, nor how much is packed."""
    if isinstance(real, list):
        return len(said) == len(real) and all(map(agree, said, real))
    if said is None:
        return real is None or real[-1] in (3, 5)  # as many as there are keys
    return len(said) == len(real) and all(one == two for one, two in zip(said, real, strict=True) if type(one) is int)


NET = """
class Net(nn.Module):
    def forward(self, layer, x=None, y=None, z=None):
        output = CALL
        raised = nn.Linear(2, 2)(torch.rand(3, 4))
        return output
"""


@pytest.mark.parametrize("before, call", list(scripts()))
def test_pytorch_agrees(before, call):
    pytest.importorskip("torch")
    given = "layer, x, y, z" if "x, y, z" in before else "layer"
    script = f"{before}\n{NET.replace('CALL', call)}\noutput = Net()({given})\n"
    names = {}
    exec(IMPORTS + before, names)
    try:
        real = sizes(eval(call, names))
    except (RuntimeError, ValueError, AssertionError):
        real = None
    execution = only(script, preamble=IMPORTS)
    fault = [e for e in execution.history if type(e).__name__ == "Mismatched"]
    # What is wrong behind it is found where it is reached.
    reached = [e for e in fault if e.mismatch.kind == "torch.nn.Linear"]
    assert bool(reached) == (real is not None)
    if real is not None:
        assert agree(sizes(raw(execution, "output")), real)
