"""The way from paths to a run: source → screen → guard → libcst → IR → executions → checks → findings → verdicts."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headcheck.findings import FileResult, Finding, Run

if TYPE_CHECKING:
    from headcheck.catalog.known import Builders
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
    from headcheck.source import files

    models = models or settings.confirm is not False
    filenames = list(files.discover([path for path in paths if path != STDIN], settings))
    given: dict[str, bytes | None] = dict.fromkeys(filenames)
    if stdin is not None and STDIN in paths:
        given[settings.stdin_filename or "<stdin>"] = stdin
    reader = Reader(settings, models, filenames)
    results = reader.results(given, progress)
    done = unconfirmed(results) if settings.confirm is False else confirmed(results, settings, progress)
    return done._replace(failures=tuple(reader.failures), notes=(*reader.notes(), *done.notes))


def known_builders(settings: Settings) -> Builders | None:
    """The builders that the project's settings name. Raises `UsageError` for a catalog that cannot be read."""
    if not settings.catalog and not settings.builders:
        return None
    from headcheck.catalog import known, own
    from headcheck.configuration import UsageError

    try:
        return known.read(dict(settings.builders), settings.catalog)
    except own.CatalogError as error:
        raise UsageError(str(error)) from error


def check_file(filename: str, data: bytes | None, settings: Settings, models: bool = True) -> FileResult:
    """Check one file, read from disk unless `data` is given: what is found in the file itself."""
    reader = Reader(settings, models, [filename])
    results = reader.results({filename: data})
    for _, error in reader.failures:
        raise error
    return unconfirmed([result for result in results if result.filename == filename]).files[0]


def unconfirmed(results: list[FileResult]) -> Run:
    """A run that confirms nothing."""
    if not any(result.findings for result in results):
        return Run(tuple(results))
    from headcheck import settle

    return Run(tuple(map(settle.proven, results)))


class Reader:
    """Reads the files of a run, and what belongs to them of their projects, each once.

    A bug of headcheck's on a file costs that file alone: `failures` has it, and the run says so at its end.
    """

    def __init__(self, settings: Settings, models: bool, filenames: list[str]) -> None:
        self.settings = settings
        self.models = models
        self.filenames = filenames
        self.notebooks: dict[str, bytes] = {}
        self.failures: list[tuple[str, Exception]] = []
        self.builders = known_builders(settings)
        self._workspace: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        if self._workspace is None:
            from headcheck.workspace import Workspace

            self._workspace = Workspace(self.filenames, self.builders)
        return self._workspace

    def notes(self) -> tuple[str, ...]:
        """Remarks on what was known and is not used."""
        return tuple(self._workspace.builders.notes) if self._workspace is not None else ()

    def results(self, given: Mapping[str, bytes | None], progress: Progress | None = None) -> list[FileResult]:
        """The results of files, and of others that they lead to; their data are read from disk where None is given.

        What can matter is taken in first, so that it is the same whichever is read first; then the scripts are found
        that lead to it.
        """
        results: dict[str, FileResult] = {}
        scripts: dict[str, str] = {}
        for filename, data in given.items():
            with self.noting_failure(filename):
                result = self.take(filename, data)
                if result is None:
                    scripts[os.path.abspath(filename)] = filename
                else:
                    results[filename] = result
        for path, filename in scripts.items():
            with self.noting_failure(filename):
                self.workspace.closure(path)
        leading = self.workspace.look_around(scripts, self.settings) if scripts else []
        runs: list[FileResult] = []
        for number, path in enumerate([*scripts, *leading]):
            if progress is not None:
                progress(number, len(scripts) + len(leading))
            with self.noting_failure(scripts.get(path, path)):
                runs.append(self.check(path))
            if number % FILES_BETWEEN_COLLECTIONS == FILES_BETWEEN_COLLECTIONS - 1 and not gc.isenabled():
                gc.collect()
        if runs:
            from headcheck.gathering import by_file

            checked = {filename: results.get(filename) for filename in given}
            return [self.filtered(result) for result in by_file(checked, runs, self.workspace.blank)]
        return [self.filtered(results[filename]) for filename in given if filename in results]

    @contextmanager
    def noting_failure(self, filename: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failures.append((filename, error))

    def take(self, filename: str, data: bytes | None = None) -> FileResult | None:
        """Take in a script or notebook that can matter; its result if it cannot, or cannot be read."""
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
        self.workspace.add(filename, source, len(loaded))
        return None

    def check(self, path: str) -> FileResult:
        """What one script or notebook (absolute name) shows, wherever in its project.

        The cells of a notebook are read in their order; one that cannot be read is a remark, and is left out.
        """
        from headcheck.analysis import analyse_unit, not_read, unreadable
        from headcheck.source.guard import on_large_stack
        from headcheck.source.reading import Unreadable
        from headcheck.units import Refused

        unit = self.workspace.unit(path)
        if isinstance(unit, Refused):
            return unreadable(*unit)
        followed = self.workspace.followed(path)
        result = on_large_stack(
            lambda: analyse_unit(
                unit,
                followed,
                followed.imported(),
                self.models,
                lambda: self.workspace.used_by(path),
                self.settings.wants,
            )
        )
        self.workspace.forget()
        source = self.workspace.source(path)
        unread = () if isinstance(source, Unreadable) else tuple(not_read(what, "info") for what in source.unread)
        return result._replace(findings=(*unread, *result.findings)) if unread else result

    def filtered(self, result: FileResult) -> FileResult:
        """Only what the settings ask for and no comment suppresses."""
        return filtered(result, self.settings, self.notebooks.get(result.filename, b""))


def refused(what: Unreadable) -> FileResult:
    from headcheck.analysis import unreadable

    return unreadable(what)


def filtered(result: FileResult, settings: Settings, data: bytes = b"") -> FileResult:
    """Only the findings whose rule is on and that no comment suppresses; those of a notebook (`data`) in its cells."""
    if result.findings:
        from headcheck.source import suppressions

        chosen = [finding for finding in result.findings if settings.wants(finding.code)]
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
        return unconfirmed(results)
    seen = runner.confirm(requests, python=settings.python, device=settings.device, on_progress=progress)
    done = []
    first = 0
    for result in results:
        observations = [seen.observations[first + number] for number in range(len(result.plans))]
        first += len(result.plans)
        done.append(settle.with_verdicts(result, observations))
    return Run(tuple(done), seen.notes, seen.interpreter if seen.torch_version else "")
