"""The way from paths to a run: source → screen → guard → libcst → IR → executions → checks → findings → verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from headcheck.findings import FileResult, Finding, Run

if TYPE_CHECKING:
    from headcheck.settings import Settings
    from headcheck.source.reading import Unreadable
    from headcheck.workspace import Workspace

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
    reader = Reader(settings, models, filenames)
    for number, filename in enumerate(filenames):
        if progress is not None:
            progress(number, len(filenames))
        if number % FILES_BETWEEN_COLLECTIONS == FILES_BETWEEN_COLLECTIONS - 1 and not gc.isenabled():
            gc.collect()
        check_next(filename, None, reader, results, failures)
    if stdin is not None and STDIN in paths:
        check_next(settings.stdin_filename or "<stdin>", stdin, reader, results, failures)
    if progress is not None:
        progress(len(filenames), len(filenames))
    results = reader.by_file(results)
    done = Run(tuple(results)) if settings.confirm is False else confirmed(results, settings, progress)
    return done._replace(failures=tuple(failures))


def check_next(
    filename: str,
    data: bytes | None,
    reader: Reader,
    results: list[FileResult],
    failures: list[tuple[str, Exception]],
) -> None:
    """Check one file; a bug of headcheck's on it costs that file alone, and the run says so at its end."""
    try:
        results.append(reader.check(filename, data))
    except Exception as error:
        failures.append((filename, error))


def check_file(filename: str, data: bytes | None, settings: Settings, models: bool = True) -> FileResult:
    """Check one file, read from disk unless `data` is given: what is found in the file itself."""
    reader = Reader(settings, models, [filename])
    results = reader.by_file([reader.check(filename, data)])
    return next(result for result in results if result.filename == filename)


class Reader:
    """Reads the files of a run, and what they import from their projects, each once."""

    def __init__(self, settings: Settings, models: bool, filenames: list[str]) -> None:
        self.settings = settings
        self.models = models
        self.filenames = filenames
        self.notebooks: dict[str, bytes] = {}
        self._workspace: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        if self._workspace is None:
            from headcheck.workspace import Workspace

            self._workspace = Workspace(self.filenames)
        return self._workspace

    def check(self, filename: str, data: bytes | None = None) -> FileResult:
        """What one script or notebook shows, wherever in its project; `data` is what it holds, read from disk unless
        given. The cells of a notebook are read in their order; one that cannot be read is a remark, and is left out.
        """
        from headcheck.source import NOTEBOOK, load, reading, screen
        from headcheck.source.reading import Unreadable

        loaded = load(filename) if data is None else data
        if isinstance(loaded, Unreadable):
            return refused(loaded)
        if not screen.may_matter(loaded):
            return FileResult(filename, "")
        source = reading.decode_any(filename, loaded)
        if isinstance(source, Unreadable):
            return refused(source)
        if filename.endswith(NOTEBOOK):
            if not screen.may_matter(source.text.encode()):  # what may matter stood in its outputs
                return FileResult(filename, "")
            self.notebooks[filename] = loaded
        from headcheck.analysis import analyse_unit, not_read, unreadable
        from headcheck.source.guard import on_large_stack
        from headcheck.units import Refused

        path = self.workspace.add(filename, source, len(loaded))
        self.workspace.closure(path)
        unit = self.workspace.unit(path)
        if isinstance(unit, Refused):
            return unreadable(*unit)
        followed = self.workspace.followed(path)
        result = on_large_stack(lambda: analyse_unit(unit, followed, followed.imported(), self.models))
        self.workspace.forget()
        unread = tuple(not_read(what, "info") for what in source.unread)
        return result._replace(findings=(*unread, *result.findings)) if unread else result

    def by_file(self, results: list[FileResult]) -> list[FileResult]:
        """What the scripts showed, as that of files: only what the settings ask for and no comment suppresses."""
        if self._workspace is not None:
            from headcheck.gathering import by_file

            results = by_file(results, self._workspace.blank)
        return [filtered(result, self.settings, self.notebooks.get(result.filename, b"")) for result in results]


def refused(what: Unreadable) -> FileResult:
    from headcheck.analysis import unreadable

    return unreadable(what)


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
