"""Whether a file may matter, from its bytes alone.

A file matters if it builds, changes, freezes, trains or loads a model in a way that some rule looks at. Every such
script has one of a few words in it, so the absence of all of them is proof, and costs a hundredth of a parse. The
words are conservative: a file that has them may still turn out not to matter.

A file that does not matter is not parsed, so a syntax error in it is not reported either: it is no business of
headcheck's. A notebook is judged by the same words, first in all its JSON, then in its code. (Words are looked for in
the bytes as they are. An encoding that writes ASCII letters otherwise, such as UTF-7, hides them.)
"""

from __future__ import annotations

from headcheck.source import most_bytes

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable

# Any of these is enough: the file names a library of models, or does what is only done to models.
_ALONE = (
    b"timm",
    b"fastai",
    b"transformers",
    b"pretrained",
    b"_grad",  # requires_grad, and require_grad and other near misses
    b"requires_g",  # requires_gard
    b"in_features",
    b"out_features",
)
# These only beside torch: a file that mentions torch and none of them handles tensors, data or files, but no model.
_BESIDE_TORCH = (
    b"nn",
    b"model",  # also torchvision.models
    b"Module",
    b"optim",
    b"grad",
    b"parameters",
    b"state_dict",
    b"hub",
    b"Linear",
    b"Conv",
    b"net",  # resnet50, densenet121, … imported from the user's own package
    b"loss",
    b"Loss",
)


def may_matter(data: bytes) -> bool:
    """Whether a file with these bytes could give a finding. False is certain; True means that it must be read."""
    if b"torch" in data and any(word in data for word in _BESIDE_TORCH):
        return True
    return any(word in data for word in _ALONE)


def none_matters(filenames: Iterable[str]) -> bool:
    """Whether every one of these is a file that could be read and cannot matter. Stops at the first that may."""
    for filename in filenames:
        most = most_bytes(filename)
        try:
            with open(filename, "rb") as file:
                data = file.read(most + 1)
        except (OSError, ValueError):
            return False
        if len(data) > most or may_matter(data):
            return False
    return True
