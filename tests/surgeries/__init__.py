"""Writes small fine-tuning scripts by the hundred, right and wrong, and compares headcheck with PyTorch on each.

    python -m tests.surgeries [BUILDER…] [--each N] [--seed S] [--all] [--show NUMBER]

A script is put together at random, from a seed, out of what people write (`pieces`): a way to build a model, to freeze
it, to replace its head, to make an optimizer, and one fault or none (`faults`). What a script is called does not say
whether it is wrong: PyTorch decides (`judge`). The script is run on the meta device, with weights that are never
fetched; then a batch of two goes forward and backward. It is wrong if anything raises, or if, quietly, it is not what
every such script is meant to be: all outputs have the new class count, every trainable parameter gets a gradient, the
new heads are trainable and in the optimizer, and what was to be frozen is.

A *disagreement* (`agreement`) is a false alarm (PyTorch finds nothing wrong, headcheck does), a miss (the other way
round), a wrong code, a wrong row, or, for a right script, other numbers than PyTorch's in what `headcheck show`
predicts. Remarks (severity info) are not counted.
"""
