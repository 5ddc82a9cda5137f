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


def run(
    paths: list[str],
    settings: Settings,
    stdin: bytes | None = None,
    progress: Progress | None = None,
    models: bool = False,
) -> Run:
    """Check files and folders. Raises `UsageError` for a path that does not exist.

    `stdin` are the bytes to check under `settings.stdin_filename` where a path is ``-``; `progress` is told how many of
    how many files are done. `models` asks for reports on the models, which confirming makes in any case.
    """
    import gc

    from headcheck.source import files

    models = models or settings.confirm is not False
    filenames = list(files.discover([path for path in paths if path != STDIN], settings))
    results: list[FileResult] = []
    failures: list[tuple[str, Exception]] = []
    for number, filename in enumerate(filenames):
        if progress is not None:
            progress(number, len(filenames))
        if number % FILES_BETWEEN_COLLECTIONS == FILES_BETWEEN_COLLECTIONS - 1 and not gc.isenabled():
            gc.collect()
        check_next(filename, None, settings, models, results, failures)
    if stdin is not None and STDIN in paths:
        check_next(settings.stdin_filename or "<stdin>", stdin, settings, models, results, failures)
    if progress is not None:
        progress(len(filenames), len(filenames))
    done = Run(tuple(results)) if settings.confirm is False else confirmed(results, settings, progress)
    return done._replace(failures=tuple(failures))


def check_next(
    filename: str,
    data: bytes | None,
    settings: Settings,
    models: bool,
    results: list[FileResult],
    failures: list[tuple[str, Exception]],
) -> None:
    """Check one file; a bug of headcheck's on it costs that file alone, and the run says so at its end."""
    try:
        results.append(check_file(filename, data, settings, models))
    except Exception as error:
        failures.append((filename, error))


def check_file(filename: str, data: bytes | None, settings: Settings, models: bool = True) -> FileResult:
    """Check one file, read from disk unless `data` is given."""
    from headcheck.source import NOTEBOOK, load, screen
    from headcheck.source.reading import Unreadable, decode

    loaded = load(filename) if data is None else data
    if isinstance(loaded, Unreadable):
        return refused(loaded, settings)
    if not screen.may_matter(loaded):
        return FileResult(filename, "")
    if filename.endswith(NOTEBOOK):
        return check_notebook(filename, loaded, settings, models)
    source = decode(filename, loaded)
    if isinstance(source, Unreadable):
        return refused(source, settings)
    from headcheck.analysis import analyse
    from headcheck.source.project import local_modules

    return filtered(analyse(source.text, filename, local_modules(filename), models), settings)


def check_notebook(filename: str, data: bytes, settings: Settings, models: bool) -> FileResult:
    """Check the cells of a notebook, in their order. One that cannot be read is a remark, and is left out."""
    from headcheck.source import notebook, screen
    from headcheck.source.reading import Unreadable

    source = notebook.decode(filename, data)
    if isinstance(source, Unreadable):
        return refused(source, settings)
    if not screen.may_matter(source.text.encode()):  # what may matter stood in its outputs
        return FileResult(filename, "")
    from headcheck.analysis import analyse, not_read
    from headcheck.source.project import local_modules

    result = analyse(source.text, filename, local_modules(filename), models, source.cells)
    unread = [not_read(what, "info") for what in source.unread]
    findings = sorted([*unread, *result.findings], key=lambda finding: (finding.location, finding.code))
    return filtered(result._replace(findings=tuple(findings)), settings, data)


def refused(what: object, settings: Settings) -> FileResult:
    from headcheck.analysis import unreadable
    from headcheck.source.reading import Unreadable

    assert isinstance(what, Unreadable)
    return filtered(unreadable(what), settings)


def filtered(result: FileResult, settings: Settings, data: bytes = b"") -> FileResult:
    """Only the findings whose rule is on and that no comment suppresses; those of a notebook (`data`) in its cells."""
    if result.findings:
        from headcheck import rulebook
        from headcheck.source import suppressions

        chosen = [f for f in result.findings if settings.enabled(f.code, rulebook.rule(f.code).default == "on")]
        result = result._replace(findings=suppressions.apply(chosen, result.text))
    if not result.cells:
        return result
    from headcheck.source import cells

    return cells.located(result, data)


def check_text(text: str, filename: str, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Check one script given as text, without confirming. `select` and `ignore` take codes, prefixes and ALL."""
    from headcheck.analysis import analyse
    from headcheck.settings import Settings

    settings = Settings(select=tuple(select), ignore=tuple(ignore))
    return filtered(analyse(text, filename, models=False), settings).findings


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
