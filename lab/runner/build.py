"""One job from its payload to its result: the stages of the shell executor in the real runner's order, names and words.

The result is decided by the user's script alone; after_script cannot change it. What stops a script is told apart:
its timeout, a graceful cancellation (after_script still runs), the job being over for GitLab (nothing more is said),
and the runner being told to stop.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.runner import VERSION, artifacts, scripts
from lab.runner.bash import Bash, Stopped
from lab.runner.config import RunnerConfig
from lab.runner.coordinator import Coordinator, JobAuth
from lab.runner.interrupts import Interrupts
from lab.runner.network import ARCHITECTURE
from lab.runner.reporter import Reporter
from lab.runner.trace import GREEN, RED, RESET, Trace
from lab.runner.variables import Variable, Variables, from_payload

AFTER_SCRIPT_SECONDS = 300  # the runner's own limit
JOB_TIMEOUT_SECONDS_DEFAULT = 3600
_PRIVATE = frozenset({"CI_SERVER_TOKEN", "RUNNER_TOKEN", "REGISTRATION_TOKEN"})  # the runner's, not the job's
Json = dict[str, object]

TIMEOUT, CANCEL, ABORT, TERMINATE = "timeout", "cancel", "abort", "terminate"


@dataclass(frozen=True, slots=True)
class Result:
    state: str
    message: str
    reason: str = ""
    exit_code: int | None = None


def part(payload: Json, key: str) -> Json:
    """An object within the payload, empty if it is not there."""
    value = payload.get(key)
    return {str(name): item for name, item in value.items()} if isinstance(value, dict) else {}


def rows(payload: Json, key: str) -> list[Json]:
    value = payload.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


class Build:
    """Everything one job needs, made from its payload; `run` runs it."""

    def __init__(self, runner: RunnerConfig, coordinator: Coordinator, payload: Json, interrupts: Interrupts) -> None:
        self._runner, self._coordinator, self._payload, self._interrupts = runner, coordinator, payload, interrupts
        self._auth = JobAuth(int(str(payload["id"])), str(payload["token"]))
        builds = Path(runner.builds_dir or "builds").absolute()
        path = str(part(payload, "job_info").get("project_full_path") or part(payload, "job_info")["project_name"])
        self._project_dir = builds / runner.short_token / "0" / path
        files_dir = self._project_dir.with_name(f"{self._project_dir.name}.tmp")
        self._variables = Variables([*from_payload(payload.get("variables")), *self._own(builds)], files_dir)
        prefixes = part(payload, "features").get("token_mask_prefixes")
        masks = [*self._variables.masks(), self._auth.token]
        self._trace = Trace(
            masks, prefixes if isinstance(prefixes, list) else [], runner.output_limit * 1024, time.time
        )
        self._reporter = Reporter(coordinator, self._auth, self._trace, interrupts)
        environment = {key: value for key, value in os.environ.items() if key not in _PRIVATE}
        environment.update(
            (key, value) for key, found, value in (e.partition("=") for e in runner.environment) if found
        )
        self._bash = Bash(self._trace, environment, files_dir, interrupts.fd)
        self._deadline = 0.0

    def _own(self, builds: Path) -> list[Variable]:
        """The variables that only the runner can know."""
        values = {
            "CI_BUILDS_DIR": str(builds),
            "CI_PROJECT_DIR": str(self._project_dir),
            "CI_CONCURRENT_ID": "0",
            "CI_CONCURRENT_PROJECT_ID": "0",
            "CI_SERVER": "yes",
            "CI_RUNNER_SHORT_TOKEN": self._runner.short_token,
            "CI_RUNNER_VERSION": VERSION,
            "CI_RUNNER_REVISION": "isthmus-lab",
            "CI_RUNNER_EXECUTABLE_ARCH": f"linux/{ARCHITECTURE}",
            "CI_SHARED_ENVIRONMENT": "true",
        }
        return [Variable(key, value) for key, value in values.items()]

    def run(self) -> bool:
        """Runs the job and tells GitLab; False when GitLab took it back before it began."""
        if not self._reporter.start():
            return False
        self._deadline = time.monotonic() + self._timeout_seconds()
        self._trace.line(f"Running with gitlab-runner {VERSION} (isthmus-lab)")
        self._trace.line(f"  on {self._coordinator.description}")
        result = self._stages()
        colour = GREEN if result.state == "success" else RED
        self._trace.line(f"{colour}{result.message}{RESET}")
        self._trace.settle()
        extra: Json = {"failure_reason": self._known(result.reason)} if result.reason else {}
        if result.exit_code is not None:
            extra["exit_code"] = result.exit_code
        self._reporter.finish(result.state, **extra)
        return True

    def _timeout_seconds(self) -> int:
        timeout = part(self._payload, "runner_info").get("timeout")
        return timeout if isinstance(timeout, int) and timeout > 0 else JOB_TIMEOUT_SECONDS_DEFAULT

    def _known(self, reason: str) -> str:
        reasons = part(self._payload, "features").get("failure_reasons")
        return reason if not isinstance(reasons, list) or reason in reasons else "unknown_failure"

    def _stages(self) -> Result:
        try:
            return self._prepare_and_run()
        except Stopped as stop:
            return self._stopped(stop.reason)
        except (OSError, artifacts.BadZipFile) as error:
            return Result("failed", f"ERROR: Job failed (system failure): {error}", "runner_system_failure")
        finally:
            with self._section("cleanup_file_variables", "Cleaning up project directory and file based variables"):
                shutil.rmtree(self._variables.files_dir, ignore_errors=True)

    def _stopped(self, reason: str) -> Result:
        if reason == TIMEOUT:
            return Result(
                "failed", "ERROR: Job failed: execution took longer than its timeout", "job_execution_timeout"
            )
        if reason == TERMINATE:
            return Result("failed", "ERROR: Job failed (system failure): aborted: terminated", "runner_interrupted")
        return Result("failed", "ERROR: Job failed: canceled", "job_canceled")

    @contextmanager
    def _section(self, name: str, title: str) -> Iterator[None]:
        self._trace.section_start(name, title)
        try:
            yield
        finally:
            self._trace.section_end(name)

    def _why_stop(self) -> str:
        if self._interrupts.is_forced:
            return TERMINATE
        if self._reporter.is_aborted:
            return ABORT
        if self._reporter.is_canceling:
            return CANCEL
        return TIMEOUT if time.monotonic() > self._deadline else ""

    def _prepare_and_run(self) -> Result:
        with self._section("prepare_executor", 'Preparing the "shell" executor'):
            self._trace.line("Using Shell (bash) executor...")
        with self._section("prepare_script", "Preparing environment"):
            self._variables.write_files()
            self._trace.line(f"Running on {socket.gethostname()}...")
        with self._section("get_sources", "Getting source from Git repository"):
            code = self._bash.run("get_sources", self._sources_script(), "00", self._why_stop)
        if code:
            return Result("failed", f"ERROR: Job failed: exit status {code}", "runner_system_failure", code)
        self._download()
        result = self._step_script()
        self._after_script(result)
        self._upload(result)
        return result

    def _sources_script(self) -> str:
        git = part(self._payload, "git_info")
        refspecs = git.get("refspecs")
        code = scripts.Sources(
            repo_url=str(git.get("repo_url", "")),
            sha=str(git.get("sha", "")),
            ref=str(git.get("ref", "")),
            refspecs=tuple(map(str, refspecs)) if isinstance(refspecs, list) else (),
            depth=int(str(git.get("depth") or 0)),
            clone_url=self._runner.clone_url,
        )
        before, after = self._runner.pre_get_sources_script, self._runner.post_get_sources_script
        text = scripts.sources(code, self._variables, str(self._project_dir))
        return "\n".join(filter(None, [self._variables.exports(), before, text, after]))

    def _step(self, name: str) -> list[str]:
        found = next((step for step in rows(self._payload, "steps") if step.get("name") == name), {})
        lines = found.get("script")
        return [str(line) for line in lines] if isinstance(lines, list) else []

    def _step_script(self) -> Result:
        before, after = self._runner.pre_build_script, self._runner.post_build_script
        lines = [line for line in (before, *self._step("script"), after) if line]
        script = scripts.commands(lines, self._variables, str(self._project_dir))
        with self._section("step_script", 'Executing "step_script" stage of the job script'):
            try:
                code = self._bash.run("step_script", script, "01", self._why_stop)
            except Stopped as stop:
                if stop.reason in (ABORT, TERMINATE):
                    raise
                return self._stopped(stop.reason)
        if code:
            return Result("failed", f"ERROR: Job failed: exit status {code}", "script_failure", code)
        return Result("success", "Job succeeded")

    def _after_script(self, result: Result) -> None:
        lines = self._step("after_script")
        if not lines:
            return
        status = "canceled" if result.reason == "job_canceled" else result.state
        script = scripts.commands(lines, self._variables, str(self._project_dir), CI_JOB_STATUS=status)
        ends = time.monotonic() + AFTER_SCRIPT_SECONDS
        with self._section("after_script", "Running after_script"):
            try:
                code = self._bash.run("after_script", script, "01", lambda: self._why_stop_after(ends))
            except Stopped as stop:
                if stop.reason in (ABORT, TERMINATE):
                    raise
                code = 1
            if code:
                self._trace.line(f"WARNING: after_script failed, but job will continue unaffected: exit status {code}")

    def _why_stop_after(self, ends: float) -> str:
        reason = TERMINATE if self._interrupts.is_forced else ABORT if self._reporter.is_aborted else ""
        return reason or (TIMEOUT if time.monotonic() > ends else "")

    def _download(self) -> None:
        wanted = rows(self._payload, "dependencies")
        if not wanted:
            return
        with self._section("download_artifacts", "Downloading artifacts"):
            for dependency in wanted:
                auth = JobAuth(int(str(dependency["id"])), str(dependency.get("token") or self._auth.token))
                reply = self._coordinator.download_artifacts(auth)
                if reply.status != 200:
                    raise OSError(f"artifacts of job {auth.id} could not be downloaded (HTTP {reply.status})")
                artifacts.unpack(reply.body, self._project_dir)
                self._trace.line(f"Downloading artifacts from job {dependency.get('name')} ({auth.id})... ok")

    def _upload(self, result: Result) -> None:
        outcome = "on_success" if result.state == "success" else "on_failure"
        for wanted in rows(self._payload, "artifacts"):
            if wanted.get("when") in (outcome, "always", None):
                with self._section(f"upload_artifacts_{outcome}", "Uploading artifacts"):
                    self._upload_one(wanted)

    def _archived(self, wanted: Json, files: list[Path]) -> Path:
        suffix = "gz" if wanted.get("artifact_format") == "gzip" else "zip"
        name = str(wanted.get("name") or "artifacts").replace("/", "-")
        archive = self._variables.files_dir / f"{name}.{suffix}"
        if suffix == "gz":
            artifacts.compress(files, archive)
        else:
            artifacts.pack(self._project_dir, files, archive)
        return archive

    def _upload_one(self, wanted: Json) -> None:
        values = self._variables.values
        paths, exclude = (artifacts.expanded(wanted.get(key), values) for key in ("paths", "exclude"))
        if wanted.get("untracked") is True:
            paths += artifacts.untracked(self._project_dir)
        files = artifacts.matching(self._project_dir, paths, exclude)
        if not files:
            self._trace.line("WARNING: no matching files. Ensure that the artifact path is relative to the project")
            return
        reply = self._coordinator.upload_artifacts(self._auth, self._archived(wanted, files), wanted)
        if reply.status != 201:
            raise OSError(f"artifacts could not be uploaded (HTTP {reply.status} {reply.error})")
        self._trace.line(f"Uploading artifacts... {len(files)} files, 201 Created")
