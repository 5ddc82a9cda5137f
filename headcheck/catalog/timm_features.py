"""Looking up timm's feature extractors (``features_only=True``): the channels of the maps that they answer.

Each of the file's ``kinds`` is ``[channels, chosen, names]``: the channels of all maps, which of them are answered
untold, and the architectures of which that holds.
"""

from __future__ import annotations

import functools

from headcheck.catalog.files import load

LIBRARY = "timm_features"


@functools.cache
def _kinds() -> dict[str, tuple[list[int], list[int]]]:
    kinds = load(LIBRARY)["kinds"]
    return {name: (channels, chosen) for channels, chosen, names in kinds for name in names.split()}


def channels(architecture: str, chosen: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
    """Return the channels of the maps that an extractor answers, or of those that are `chosen` by their places; None
    for one that is not known, or has no such map."""
    every, usual = _kinds().get(architecture, ([], []))
    wanted = tuple(usual) if chosen is None else chosen
    if not every or not all(0 <= each < len(every) for each in wanted):
        return None
    return tuple(every[each] for each in wanted)
