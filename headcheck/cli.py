"""The command line: arguments in, one call, a report and an exit status out.

Status 0 is clean, 1 is findings, 2 is wrong use or a failure of headcheck's own. Findings go to standard output and
everything else to standard error. Whatever a command needs is imported when it runs: most runs (one for each commit of
someone who has no models in it) end after reading a file and looking for a few words.
"""

from __future__ import annotations

import os
import sys

from headcheck import __version__, configuration
from headcheck.configuration import UsageError

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from headcheck.findings import Run
    from headcheck.settings import Settings

CLEAN, FOUND, FAILED = 0, 1, 2
REPORT_TO = "https://github.com/headcheck/headcheck/issues"
STDIN = "-"
USUAL_WIDTH = 78  # of what argparse says of a mistake

OVERVIEW = """\
headcheck proves, before GPU time is spent, that a script replaces a model's classifier head correctly.

  headcheck [check] PATH…   check files and folders ('-' is standard input; no path is the current folder)
  headcheck show PATH…      what headcheck understood: each model, its life, its heads, what comes out of it
  headcheck rule [CODE]     the page of a rule, or all rules
  headcheck model NAME      heads, sizes and input of a library model, and the line that replaces its head
  headcheck models [GLOB]   the library models that headcheck knows
  headcheck trace …         learn what models look like (needs torch)

Each has its own --help. Exit status: 0 clean, 1 findings, 2 wrong use or a failure of headcheck's own.
"""


def main(argv: list[str] | None = None) -> int:
    """Run headcheck. Args: `argv` without the program's name (default: the process's). Returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    _let_any_character_out()
    try:
        return _dispatch(arguments)
    except SystemExit as exit_:  # argparse's: --help, --version, wrong use
        return exit_.code if isinstance(exit_.code, int) else FAILED
    except UsageError as error:
        print(f"headcheck: error: {error}", file=sys.stderr)
    except BrokenPipeError:  # nobody reads what was found to be clean
        from headcheck.report.output import close_broken_pipe

        close_broken_pipe()
        return CLEAN
    except KeyboardInterrupt:
        print("headcheck: interrupted", file=sys.stderr)
    except Exception as error:
        if os.environ.get("HEADCHECK_DEBUG"):
            raise
        _confess(error)
    return FAILED


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write(OVERVIEW)
        return FAILED
    if arguments[0] in ("-h", "--help"):
        print(OVERVIEW, end="", flush=True)
        return CLEAN
    if arguments[0] in ("-V", "--version"):
        print(f"headcheck {__version__}")
        return CLEAN
    count = _files_that_cannot_matter(arguments)
    if count:
        from headcheck.report import summary

        print(summary.passed(count), flush=True)
        return CLEAN
    return _run_command(arguments)


def _run_command(arguments: list[str]) -> int:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter
    from functools import partial

    named = arguments[0] in _COMMANDS
    add_arguments, command = _COMMANDS[arguments[0] if named else "check"]
    # argparse measures the terminal for each option it is told of, with what takes a millisecond to import.
    width = None if {"-h", "--help"} & set(arguments) else USUAL_WIDTH
    parser = ArgumentParser(
        prog=f"headcheck {arguments[0]}" if named else "headcheck",
        description=command.__doc__,
        formatter_class=partial(RawDescriptionHelpFormatter, width=width),
        allow_abbrev=False,
    )
    add_arguments(parser)
    return command(parser.parse_intermixed_args(arguments[1:] if named else arguments))


def _files_that_cannot_matter(arguments: list[str]) -> int:
    """Their number, if the arguments are nothing but names of such files; else 0.

    That is what pre-commit and editors pass, and what must be quick: it comes before argparse.
    """
    from headcheck.source import screen

    words = arguments[1:] if arguments[0] == "check" else arguments
    paths = [word for word in words if word not in ("--confirm", "--no-confirm")]
    if not paths or arguments[0] in _COMMANDS.keys() - {"check"} or any(path.startswith("-") for path in paths):
        return 0
    filenames = {os.path.abspath(path) for path in paths}
    if configuration.may_set(configuration.common_folder(paths), "output-format"):
        return 0
    return len(filenames) if screen.none_matters(filenames) else 0


def _let_any_character_out() -> None:
    """A file name or a line that the terminal's encoding lacks is written with escapes."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _confess(error: Exception, filename: str = "") -> None:
    where = f" in {filename}" if filename else ""
    print(
        f"headcheck: internal error{where}: {type(error).__name__}: {error}\n"
        f"This is a bug in headcheck. Please report it at {REPORT_TO}\n"
        "with the file and what HEADCHECK_DEBUG=1 prints.",
        file=sys.stderr,
    )


# --- check -----------------------------------------------------------------------------------------------------------


def _check_arguments(parser: ArgumentParser) -> None:
    from headcheck.report import FORMATS

    _reading_arguments(parser)
    codes = parser.add_argument_group("rules, by code (HC101), the start of one (HC1), or ALL; separated by commas")
    codes.add_argument("--select", metavar="CODES", type=_split, action="extend", help="check these and no others")
    codes.add_argument("--extend-select", metavar="CODES", type=_split, action="extend", help="check these too")
    codes.add_argument("--ignore", metavar="CODES", type=_split, action="extend", help="do not check these")
    output = parser.add_argument_group("output")
    output.add_argument("--output-format", choices=tuple(FORMATS), help="default: full")
    output.add_argument("--output-file", metavar="FILE", help="write the report there")
    output.add_argument("--statistics", action="store_true", help="count the findings of each rule instead")
    output.add_argument("--exit-zero", action="store_true", help="exit with 0 even if something was found")
    output.add_argument(
        "--fail-on", choices=("info", "warning", "error"), help="the least severity that exits with 1; default: warning"
    )


def _reading_arguments(parser: ArgumentParser) -> None:
    """What `check` and `show` share."""
    parser.add_argument("paths", metavar="PATH", nargs="*", default=None, help="default: the current folder")
    running = parser.add_argument_group("confirming by building the model and running it on a dummy input")
    running.add_argument("--confirm", action="store_const", const=True, help="do (default: if torch is there)")
    running.add_argument("--no-confirm", action="store_const", const=False, dest="confirm", help="do not")
    running.add_argument("--python", metavar="PATH", help="the Python that has torch")
    running.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps, or meta (simulated: no memory, any devices)")
    files = parser.add_argument_group("files")
    files.add_argument("--exclude", metavar="GLOBS", type=_split, action="extend", help="in place of the usual folders")
    files.add_argument("--extend-exclude", metavar="GLOBS", type=_split, action="extend", help="leave these out too")
    files.add_argument("--stdin-filename", metavar="NAME", help="what to call standard input")


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _check(options: Namespace) -> int:
    """Check files and folders for heads that are replaced wrongly."""
    paths = options.paths or ["."]
    stdin = sys.stdin.buffer.read() if STDIN in paths else None
    run, settings = _read(options, paths, stdin)
    from headcheck import report
    from headcheck.report import colour, words
    from headcheck.report.output import opened

    with opened(options.output_file) as out:
        painted = options.output_file is None and colour.wanted(out)
        if settings.statistics:
            from headcheck.report import statistics

            statistics.render(run, out, painted)
        else:
            report.render(settings.output_format, run, out, painted)
    counting = (finding for result in run.files for finding in result.findings if words.counts(finding))
    failing = any(settings.fails(finding.severity) for finding in counting)
    if run.failures:
        return FAILED
    return FOUND if failing and not settings.exit_zero else CLEAN


def _read(options: Namespace, paths: list[str], stdin: bytes | None, models: bool = False) -> tuple[Run, Settings]:
    """Run the pipeline, with what it has to say beside its findings on standard error; `models` asks for reports."""
    from headcheck import pipeline
    from headcheck.report import progress
    from headcheck.settings import resolve

    given = {name: value for name, value in vars(options).items() if name not in ("paths", "output_file")}
    for name in ("exit_zero", "statistics"):
        given[name] = given.get(name) or None
    settings = resolve(given, paths)
    with progress.bar("headcheck", sys.stderr) as update:
        run = pipeline.run(paths, settings, stdin, update, models)
    if not run.files and not run.failures:
        print(f"headcheck: no Python files or notebooks found under {', '.join(paths)}", file=sys.stderr)
    for note in run.notes:
        print(f"headcheck: {note}", file=sys.stderr)
    for filename, error in run.failures:
        if os.environ.get("HEADCHECK_DEBUG"):
            raise error
        _confess(error, filename)
    return run, settings


# --- the others ------------------------------------------------------------------------------------------------------


def _show(options: Namespace) -> int:
    """Show what headcheck understood of each model in files and folders."""
    paths = options.paths or ["."]
    run, _ = _read(options, paths, sys.stdin.buffer.read() if STDIN in paths else None, models=True)
    from headcheck.report import colour, concise, show
    from headcheck.report.output import opened

    unreadable = [finding for result in run.files for finding in result.findings if finding.code == "HC901"]
    for finding in unreadable:
        print(concise.header(finding, False), file=sys.stderr)
    with opened(None) as out:
        show.render(run, out, colour.wanted(out))
    if run.failures:
        return FAILED
    return FOUND if unreadable else CLEAN


def _rule_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("code", metavar="CODE", nargs="?", help="such as HC101; default: all, one on a line")


def _rule(options: Namespace) -> int:
    """Print what a rule finds, why it matters, and an example of wrong and right code."""
    from headcheck import rulebook
    from headcheck.report.output import opened

    try:
        text = rulebook.render(options.code.upper()) if options.code else rulebook.listing()
    except KeyError as error:
        raise UsageError(error.args[0]) from error
    with opened(None) as out:
        out.write(text)
    return CLEAN


def _model_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="such as resnet50, timm.resnet50 or bert-base-uncased")


def _model(options: Namespace) -> int:
    """Print a library model's heads, sizes and input, and the line that replaces its head."""
    from headcheck.catalog import describe
    from headcheck.report.output import opened

    try:
        text = describe.describe(options.name)
    except KeyError as error:
        raise UsageError(error.args[0]) from error
    with opened(None) as out:
        out.write(text.rstrip("\n") + "\n")
    return CLEAN


def _models_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("glob", metavar="GLOB", nargs="?", default="*", help="such as 'resnet*'; default: all")


def _models(options: Namespace) -> int:
    """Print the names of the library models that headcheck knows."""
    from headcheck.catalog import describe
    from headcheck.report.output import opened

    names = list(describe.matching(options.glob))
    with opened(None) as out:
        out.writelines(f"{name}\n" for name in names)
    if not names:
        print(f"headcheck: no model is called {options.glob}", file=sys.stderr)
    return CLEAN if names else FOUND


def _trace_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="your own builder: package.module:function")
    parser.add_argument("--library", metavar="NAME", help="every model of a library ('all': of all)")
    parser.add_argument("--input", metavar="SIZES", type=_sizes, help="of one input to TARGET; default: 3,224,224")
    parser.add_argument("--output", metavar="FILE", help="default: the settings' catalog, or NAME.json (all: a folder)")
    parser.add_argument("--python", metavar="PATH", help="the Python that has torch and what TARGET needs")


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


def _trace(options: Namespace) -> int:
    """Learn what models look like by building and tracing them. This imports torch, and runs TARGET."""
    if bool(options.targets) == bool(options.library):
        raise UsageError("trace needs either a TARGET or --library")
    return _trace_library(options) if options.library else _trace_targets(options)


def _output_of(library: str) -> str:
    return "." if library == "all" else f"{library}.json"


def _trace_library(options: Namespace) -> int:
    from pathlib import Path

    from headcheck.report import progress

    try:
        from headcheck.tracing.build import TracingError
        from headcheck.tracing.library import trace_library
    except ImportError as error:
        raise UsageError(f"tracing needs torch: pip install 'headcheck[torch]' ({error})") from error
    library, filename = options.library, options.output or _output_of(options.library)
    try:
        with progress.bar(f"tracing {library}", sys.stderr) as update:
            changes = trace_library(library, Path(filename), update)
    except (TracingError, ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    print(filename, *changes, sep="\n")
    return CLEAN


def _trace_targets(options: Namespace) -> int:
    from headcheck.catalog.own import CatalogError
    from headcheck.confirm.runner import find_interpreter
    from headcheck.report import traced
    from headcheck.report.output import opened
    from headcheck.settings import resolve
    from headcheck.tracing import launch

    configured = resolve({}, ["."]).catalog
    output = options.output or (configured[0] if configured else None)
    keep = output if output is not None and os.path.exists(output) else None
    try:
        python = find_interpreter(options.python)
        written = launch.trace(options.targets, options.input, python, keep, output)
    except (launch.TraceError, CatalogError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    catalog = written.catalog
    with opened(None) as out:
        for name in written.names:
            traced.render(catalog.entry(catalog.builders[name], {}), out)
    where = "not kept: name a file with --output, or as catalog in [tool.headcheck]" if output is None else output
    print(f"headcheck: {where}", file=sys.stderr)
    return CLEAN


_COMMANDS: dict[str, tuple[Callable[[ArgumentParser], None], Callable[[Namespace], int]]] = {
    "check": (_check_arguments, _check),
    "show": (_reading_arguments, _show),
    "rule": (_rule_arguments, _rule),
    "model": (_model_arguments, _model),
    "models": (_models_arguments, _models),
    "trace": (_trace_arguments, _trace),
}
