"""The way from paths to a run: source → screen → guard → libcst → IR → executions → checks → findings → verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from headcheck.findings import FileResult, Finding, Run

if TYPE_CHECKING:
    from headcheck.settings import Settings

Progress = Callable[[int, int], None]
STDIN = "-"
FILES_BETWEEN_COLLECTIONS = 50


class InternalError(Exception):
    """headcheck itself failed on a file: a bug to be reported, never a silent pass. Its cause is the exception."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self.filename = filename


def run(
    paths: list[str],
    settings: Settings,
    stdin: bytes | None = None,
    progress: Progress | None = None,
    models: bool = False,
) -> Run:
    """Check files and folders. Raises `UsageError` for a path that does not exist, `InternalError` for a bug.

    `stdin` are the bytes to check under `settings.stdin_filename` where a path is ``-``; `progress` is told how many of
    how many files are done. `models` asks for reports on the models, which confirming makes in any case.
    """
    import gc

    from headcheck.source import files

    models = models or settings.confirm is not False
    filenames = list(files.discover([path for path in paths if path != STDIN], settings))
    results = []
    for number, filename in enumerate(filenames):
        if progress is not None:
            progress(number, len(filenames))
        if number % FILES_BETWEEN_COLLECTIONS == FILES_BETWEEN_COLLECTIONS - 1 and not gc.isenabled():
            gc.collect()
        results.append(check_file(filename, None, settings, models))
    if stdin is not None and STDIN in paths:
        results.append(check_file(settings.stdin_filename or "<stdin>", stdin, settings, models))
    if progress is not None:
        progress(len(filenames), len(filenames))
    if settings.confirm is False:
        return Run(tuple(results))
    return confirmed(results, settings, progress)


def check_file(filename: str, data: bytes | None, settings: Settings, models: bool = True) -> FileResult:
    """Check one file, read from disk unless `data` is given."""
    from headcheck.source import load, screen
    from headcheck.source.reading import Unreadable, decode

    loaded = load(filename) if data is None else data
    if isinstance(loaded, Unreadable):
        return refused(loaded, settings)
    if not screen.may_matter(loaded):
        return FileResult(filename, "")
    source = decode(filename, loaded)
    if isinstance(source, Unreadable):
        return refused(source, settings)
    from headcheck.analysis import analyse
    from headcheck.source.project import local_modules

    try:
        result = analyse(source.text, filename, local_modules(filename), models)
    except Exception as error:
        raise InternalError(filename) from error
    return filtered(result, settings.select, settings.ignore)


def refused(what: object, settings: Settings) -> FileResult:
    from headcheck.analysis import unreadable
    from headcheck.source.reading import Unreadable

    assert isinstance(what, Unreadable)
    return filtered(unreadable(what), settings.select, settings.ignore)


def filtered(result: FileResult, select: Iterable[str], ignore: Iterable[str]) -> FileResult:
    """Only the findings whose rule is on and that no comment suppresses."""
    from headcheck.source import suppressions

    chosen = choose(result.findings, tuple(select), tuple(ignore))
    return result._replace(findings=tuple(suppressions.apply(chosen, result.text)))


def check_text(text: str, filename: str, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Check one script given as text, without confirming. `select` and `ignore` take codes, prefixes and ALL."""
    from headcheck.analysis import analyse

    return filtered(analyse(text, filename, models=False), select, ignore).findings


def choose(findings: Iterable[Finding], select: tuple[str, ...], ignore: tuple[str, ...]) -> tuple[Finding, ...]:
    """The findings whose rule is on: selected by code or prefix, or on by default; never one that is ignored."""
    from headcheck import rulebook

    def matches(code: str, patterns: tuple[str, ...]) -> bool:
        return any(pattern == "ALL" or code.startswith(pattern) for pattern in patterns)

    def is_on(code: str) -> bool:
        if matches(code, ignore):
            return False
        return matches(code, select) if select else rulebook.rule(code).default == "on"

    return tuple(finding for finding in findings if is_on(finding.code))


def confirmed(results: list[FileResult], settings: Settings, progress: Progress | None) -> Run:
    """Run the plans of all files in one worker, and join what it saw to the findings and models."""
    from headcheck import settle
    from headcheck.confirm import runner

    requests: list[dict[str, Any]] = []
    for result in results:
        for plan in result.plans:
            requests.append({**plan, "id": len(requests)})
    if not requests:
        return Run(tuple(results))
    seen = runner.confirm(requests, python=settings.python, device=settings.device, on_progress=progress)
    done = []
    first = 0
    for result in results:
        observations = [seen.observations[first + number] for number in range(len(result.plans))]
        first += len(result.plans)
        done.append(settle.with_verdicts(result, observations))
    return Run(tuple(done), seen.notes, seen.interpreter if seen.torch_version else "")
