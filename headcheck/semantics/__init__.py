"""What library calls mean, one module per library. Importing a module registers its effects."""

from __future__ import annotations


def load_effects() -> None:
    """Register the effects of every library, but those of `registry.WAITING`: a call of theirs brings them in."""
    from headcheck.semantics import (  # noqa: F401
        argparse,
        attention,
        configs,
        constructors,
        creation,
        datasets,
        detectors,
        devices,
        extraction,
        files,
        gradients,
        hub,
        in_place,
        iterating,
        joining,
        lightning,
        lookups,
        losses,
        methods,
        optimizers,
        parting,
        python,
        recurrent,
        regex,
        tensors,
        torch,
        torchvision,
        variables,
    )
