"""Changes right scripts one small thing at a time, lets PyTorch say which changes are faults, and counts those found.

    python -m tests.mutants [SCRIPT…] [--all] [--kind KIND] [--sample N] [--seed S] [--show NUMBER]

The scripts are those of `fixtures/clean`. A change (`changes`) is made on the syntax: a size, an index, an attribute, a
builder's name, the order of two statements, a step of `forward` left out, forgotten parentheses … It never asks whether
what comes out is wrong: PyTorch decides (`judge`), by running the script and one forward and backward pass of its model
and comparing that with what the clean script shows:

- *wrong*: something raises; the outputs do not have the class count; a layer that the script made does not learn (it is
  frozen, gets no gradient, or is not in the optimizer); the library's part was to be frozen and nothing of it is, or
  some of it was to learn and nothing does;
- *open*: only the number of classes is another one, or more or less of the library's part is frozen: nobody can tell
  from the script which of the two was meant;
- *right*: everything is as before.

Only what the clean script's runs came by is changed. A change is left out where what it breaks is plain Python, which
other tools find: a name that is not set, an attribute of something that is no module.
"""
