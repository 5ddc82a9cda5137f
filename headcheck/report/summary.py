"""The last lines of a report for people. Imports nothing, because a run with nothing to say ends here too."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from headcheck.findings import FileResult, Finding, Run

SEVERITIES = {"error": "error", "warning": "warning", "info": "remark"}


def number(count: int, word: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def device_name(device: str) -> str:
    """A device as people are told of it: on meta nothing is computed."""
    return "meta (simulated)" if device == "meta" else device


def passed(files: int, models: int = 0, clean: int = 0, device: str = "") -> str:
    """What is said when nothing was found in `files` files with `models` models, `clean` of which ran on `device`."""
    confirmed = f" ({clean:,} confirmed on {device})" if clean else ""
    what = number(models, "model") if models else "no models"
    return f"All checks passed: {what} in {number(files, 'file')}{confirmed}."


def lines(run: Run) -> list[str]:
    """The summary of a run: what was refuted, how many models are clean beside findings, and a line on everything."""
    findings = [finding for result in run.files for finding in result.findings]
    counting = [finding for finding in findings if _counts(finding)]
    refuted = len(findings) - len(counting)
    models, clean, device = _models(run)
    said = []
    if refuted:
        said.append(f"{number(refuted, 'finding')} refuted by running the model: not counted.")
    if not counting:
        return [*said, passed(len(run.files), models, clean, device)]
    if clean:
        verb = "is" if clean == 1 else "are"
        said.append(f"{number(clean, 'other model')} {verb} clean: forward and backward ran on {device}.")
    return [*said, _found(counting, len(run.files))]


def _counts(finding: Finding) -> bool:
    return finding.verdict is None or finding.verdict.status != "refuted"


def _found(findings: list[Finding], files: int) -> str:
    by_severity = [(sum(each.severity == severity for each in findings), word) for severity, word in SEVERITIES.items()]
    confirmed = [each.verdict for each in findings if each.verdict is not None and each.verdict.status == "confirmed"]
    proof = f" ({len(confirmed):,} confirmed on {device_name(confirmed[0].device)})" if confirmed else ""
    return f"Found {', '.join(number(*each) for each in by_severity if each[0])} in {number(files, 'file')}{proof}."


def _models(run: Run) -> tuple[int, int, str]:
    """How many models there are, how many of them are clean, and the device that showed it.

    A model is what one place builds. It is clean if it ran as it is on every path, and nothing worse than a remark was
    found on it.
    """
    by_place: dict[object, bool] = {}
    device = ""
    if not any(result.models for result in run.files):  # nothing was confirmed, so no reports were asked for
        return sum(result.statistics.models for result in run.files), 0, ""
    for result in run.files:
        faulty = {each.plan for each in result.findings if _counts(each) and each.severity != "info"} - {None}
        places = {built(result, plan) for plan in faulty} - {""}
        for model in result.models:
            place = (model.filename, model.cell, model.location)
            clean = model.verdict is not None and model.verdict.status == "clean" and model.plan not in faulty
            clean = clean and built(result, model.plan) not in places
            by_place[place] = clean and by_place.get(place, True)
            device = device or (model.verdict.device if model.verdict is not None else "")
    return len(by_place), sum(by_place.values()), device_name(device)


def built(result: FileResult, plan: int | None) -> str:
    """Where the model of a plan is built: several plans may be of one model, alone and in the script's network."""
    return str(result.plans[plan]["built"]) if plan is not None and plan < len(result.plans) else ""
