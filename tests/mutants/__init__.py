"""Changes right scripts one small thing at a time, lets PyTorch say which changes are faults, and counts those found.

    python -m tests.mutants [SCRIPT…] [--all] [--kind KIND] [--sample N] [--seed S] [--show NUMBER]

The scripts are those of `fixtures/clean`. A change (`changes`) is made on the syntax: a size, an index, an attribute, a
builder's name, the order of two statements, a step of `forward` left out, forgotten parentheses … It never asks whether
what comes out is wrong: PyTorch decides (`judge`, which says how), by running the script and one forward and backward
pass of its model and comparing that with what the clean script shows. A change is *wrong*, *right*, *open* where nobody
can tell from the script which of two was meant, or *left out* where what it breaks is plain Python.

Only what the clean script's runs came by is changed.
"""
