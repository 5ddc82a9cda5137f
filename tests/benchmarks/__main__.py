"""`python -m tests.benchmarks [NAME…] [--runs N]`: print ratios beside their targets. It measures; it does not judge.

The names are `static`, `static-finding`, `irrelevant`, `confirm`, `confirm-ten`, `reading`, `interpreting` and
`lookup`; without one, all are run.
`--meta` instead measures what the meta device adds to a worker's memory (see `meta`).
`--corpus FOLDER` instead measures reading on every relevant file of a folder of real code (see `corpus`).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import corpus, meta
from tests.benchmarks.measure import Comparison, compare, function, process

SCRIPTS = Path(__file__).parent / "scripts"
TRAIN = SCRIPTS / "train.py"

# What the installed `headcheck` command does, but always of this checkout.
HEADCHECK = [sys.executable, "-c", "import sys; from headcheck.__main__ import entry; sys.exit(entry())"]

PARSE = "import libcst; libcst.parse_module(open({path!r}, encoding='utf-8').read())"
FORWARD_AND_BACKWARD = """
import torch
import torchvision
model = torchvision.models.resnet50(weights=None)
model.fc = torch.nn.Linear(2048, 10)
model(torch.rand(2, 3, 224, 224)).square().sum().backward()
"""


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def static(runs: int) -> Comparison:
    """A 100-line script with one model and no fault, against importing libcst and parsing it."""
    ours = process([*HEADCHECK, "--no-confirm", str(TRAIN)])
    return compare(ours, process(python(PARSE.format(path=str(TRAIN)))), runs)


def static_finding(runs: int) -> Comparison:
    """The same script with a head of the wrong size, which is reported with its excerpt."""
    with tempfile.TemporaryDirectory() as folder:
        bad = Path(folder) / "train.py"
        bad.write_text(TRAIN.read_text(encoding="utf-8").replace("nn.Linear(2048,", "nn.Linear(512,"), encoding="utf-8")
        ours = process([*HEADCHECK, "--no-confirm", str(bad)], statuses=(1,))
        return compare(ours, process(python(PARSE.format(path=str(bad)))), runs)


def irrelevant(runs: int) -> Comparison:
    """A file that cannot matter, against importing argparse."""
    return compare(process([*HEADCHECK, str(SCRIPTS / "irrelevant.py")]), process(python("import argparse")), runs)


def confirm(runs: int) -> Comparison:
    """Confirming one ResNet-50, against building it and running it forward and backward."""
    ours = process([*HEADCHECK, "--confirm", "--python", sys.executable, str(SCRIPTS / "resnet50.py")])
    return compare(ours, process(python(FORWARD_AND_BACKWARD)), runs)


#: Ten models of a run, each with the path of its head and the features that reach it.
TEN = {
    "resnet18": ("fc", 512), "resnet50": ("fc", 2048), "densenet121": ("classifier", 1024),
    "mobilenet_v2": ("classifier[1]", 1280), "efficientnet_b0": ("classifier[1]", 1280),
    "vgg11": ("classifier[6]", 4096), "alexnet": ("classifier[6]", 4096), "resnet34": ("fc", 512),
    "shufflenet_v2_x1_0": ("fc", 1024),
    "convnext_tiny": ("classifier[2]", 768),
}  # fmt: skip
ONE_OF_TEN = """
model = torchvision.models.{name}(weights=None)
model.{head} = torch.nn.Linear({size}, 10)
model(torch.rand(2, 3, 224, 224)).square().sum().backward()
"""


def confirm_ten(runs: int) -> Comparison:
    """Confirming ten models in ten files, against one import and building and running the ten one after the other."""
    programs = [ONE_OF_TEN.format(name=name, head=head, size=size) for name, (head, size) in TEN.items()]
    imports = "import torch\nimport torchvision\n"
    with tempfile.TemporaryDirectory() as folder:
        for number, program in enumerate(programs):
            (Path(folder) / f"train_{number}.py").write_text(imports + program, encoding="utf-8")
        ours = process([*HEADCHECK, "--confirm", "--python", sys.executable, folder])
        return compare(ours, process(python(imports + "".join(programs))), runs)


def interpreting(runs: int) -> Comparison:
    """Lowering and interpreting the 100-line script in a warm process, against parsing it."""
    import libcst

    from headcheck.analysis import gather, only_relative
    from headcheck.interpreter.modules import Alone
    from headcheck.interpreter.run import interpret
    from headcheck.units import Places, Unit

    text = TRAIN.read_text(encoding="utf-8")
    tree = libcst.parse_module(text)
    project = Alone(only_relative)

    def read() -> None:
        unit = Unit(str(TRAIN), str(TRAIN), text, tree)
        interpret(unit.index, gather(Places((unit,))), project)

    return compare(function(read), function(lambda: libcst.parse_module(text)), runs)


def reading(runs: int) -> Comparison:
    """Everything after parsing the 100-line script in a warm process, against parsing it."""
    import libcst

    from headcheck.analysis import analyse_unit, only_relative
    from headcheck.interpreter.modules import Alone
    from headcheck.settings import Settings
    from headcheck.units import Unit

    text = TRAIN.read_text(encoding="utf-8")
    tree = libcst.parse_module(text)
    project = Alone(only_relative)
    wanted = Settings().wants
    unit = (str(TRAIN), str(TRAIN), text, tree)
    ours = function(lambda: analyse_unit(Unit(*unit), project, (), models=False, wanted=wanted))
    return compare(ours, function(lambda: libcst.parse_module(text)), runs)


CATALOG = "from headcheck import catalog; from headcheck.catalog import timm, transformers"
LOOKUP = "timm.find(timm.resolve('swin_base_patch4_window7_224'), {})"  # in the largest file


def lookup(runs: int) -> Comparison:
    """Looking up one model, in a process that does nothing else, against that process without it."""
    return compare(process(python(f"{CATALOG}; {LOOKUP}")), process(python(CATALOG)), runs)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`target` is what the median ratio should not pass; None where none is set."""

    measure: Callable[[int], Comparison]
    target: float | None
    runs: int


BENCHMARKS = {
    "static": Benchmark(static, 1.3, 21),
    "static-finding": Benchmark(static_finding, None, 21),
    "irrelevant": Benchmark(irrelevant, 2.0, 41),
    "confirm": Benchmark(confirm, 1.3, 7),
    "confirm-ten": Benchmark(confirm_ten, 1.3, 5),
    "reading": Benchmark(reading, 0.5, 41),
    "interpreting": Benchmark(interpreting, 0.5, 41),
    "lookup": Benchmark(lookup, 1.2, 41),
}


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):5.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(BENCHMARKS))
    parser.add_argument("--runs", type=int, help="pairs of each, in place of each one's own number")
    parser.add_argument("--corpus", metavar="FOLDER", type=Path, help="read every relevant file of this folder instead")
    parser.add_argument("--meta", action="store_true", help="measure what the meta device takes instead")
    options = parser.parse_args(arguments)
    if options.meta:
        meta.report(options.runs or 5)
        return
    if options.corpus is not None:
        corpus.report(options.corpus, options.runs or 2)
        return
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    print("median ratio of ours to theirs over interleaved pairs, after a warm-up (least–most)")
    print(f"{'':16} {'target':>6}  {'wall':18} {'CPU':18} {'ours':>9} {'theirs':>9}  pairs")
    for name, benchmark in BENCHMARKS.items():
        if options.names and name not in options.names:
            continue
        result = benchmark.measure(options.runs or benchmark.runs)
        target = f"≤ {benchmark.target}" if benchmark.target else "–"
        ours, theirs = (f"{1000 * seconds:.1f} ms" for seconds in result.seconds())
        wall, cpu = spread(result.wall_ratios()), spread(result.cpu_ratios())
        print(f"{name:16} {target:>6}  {wall:18} {cpu:18} {ours:>9} {theirs:>9}  {len(result.pairs)}", flush=True)


if __name__ == "__main__":
    main()
