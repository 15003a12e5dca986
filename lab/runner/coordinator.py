"""The runner protocol, call by call, as the real runner was recorded making them."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from lab.runner import VERSION
from lab.runner.config import RunnerConfig
from lab.runner.network import ARCHITECTURE, Network, Reply

Json = dict[str, object]
_ABLE = (
    "variables artifacts cache fallback_cache_keys shared upload_multiple_artifacts upload_raw_artifacts session "
    "terminal refspecs masking raw_variables artifacts_exclude multi_build_steps trace_reset trace_checksum trace_size "
    "vault_secrets cancelable return_exit_code cancel_gracefully native_steps_integration two_phase_job_commit "
    "job_inputs"
)
_UNABLE = "image services proxy service_variables service_multiple_aliases image_executor_opts service_executor_opts"
FEATURES = {**dict.fromkeys(_ABLE.split(), True), **dict.fromkeys(_UNABLE.split(), False)}


@dataclass(frozen=True, slots=True)
class JobAuth:
    """What speaks for one job."""

    id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Job-Token": self.token}


class Coordinator:
    """One runner's side of the protocol. `last_update` is remembered between requests."""

    def __init__(self, runner: RunnerConfig, system_id: str) -> None:
        self._runner = runner
        self._system_id = system_id
        self._network = Network(runner.url, runner.tls_ca_file)
        self._last_update = ""
        self._info: Json = {
            "name": "gitlab-runner",
            "version": VERSION,
            "revision": "isthmus-lab",
            "platform": "linux",
            "architecture": ARCHITECTURE,
            "executor": runner.executor,
            "shell": runner.shell or "bash",
            "features": FEATURES,
            "config": {"gpus": ""},
            **({"labels": dict(runner.labels)} if runner.labels else {}),
        }

    def verify(self) -> Reply:
        return self._as_runner("POST", "runners/verify", {"info": self._info})

    def unregister_manager(self) -> Reply:
        return self._as_runner("DELETE", "runners/managers", {})

    def request_job(self) -> Reply:
        """201 with a job, 204, or a refusal; the queue's value is kept for the next time."""
        known = {"last_update": self._last_update} if self._last_update else {}
        reply = self._as_runner("POST", "jobs/request", {"info": self._info, **known})
        self._last_update = reply.header("X-GitLab-Last-Update") or self._last_update
        return reply

    def _as_runner(self, method: str, path: str, extra: Json) -> Reply:
        body = {**extra, "token": self._runner.token, "system_id": self._system_id}
        return self._network.call(method, path, body, {"Runner-Token": self._runner.token})

    def update_job(self, job: JobAuth, state: str, **extra: object) -> Reply:
        """PUT with `state`, and `output`, `failure_reason`, `exit_code` as given."""
        body = {"info": self._info, "token": job.token, "state": state, "output": {}, **extra}
        return self._network.call("PUT", f"jobs/{job.id}", body, job.headers)

    def append_trace(self, job: JobAuth, start: int, data: bytes) -> Reply:
        """PATCH; the end of the range is inclusive."""
        headers = {**job.headers, "Content-Type": "text/plain", "Content-Range": f"{start}-{start + len(data) - 1}"}
        return self._network.send("PATCH", f"jobs/{job.id}/trace?debug_trace=false", data, headers)

    def upload_artifacts(self, job: JobAuth, archive: Path, wanted: Json) -> Reply:
        """One file as chunked multipart, with what the payload says of it."""
        query = {
            "artifact_format": str(wanted.get("artifact_format") or "zip"),
            "artifact_type": str(wanted.get("artifact_type") or "archive"),
            **({"expire_in": str(wanted["expire_in"])} if wanted.get("expire_in") else {}),
        }
        boundary = "isthmuslab0123456789"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{archive.name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        pieces = iter([head.encode(), archive.read_bytes(), f"\r\n--{boundary}--\r\n".encode()])
        headers = {**job.headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._network.send_once("POST", f"jobs/{job.id}/artifacts?{urlencode(query)}", pieces, headers)

    def download_artifacts(self, job: JobAuth) -> Reply:
        return self._network.send("GET", f"jobs/{job.id}/artifacts?direct_download=true", b"", job.headers)

    @property
    def description(self) -> str:
        return f"{self._runner.name or socket.gethostname()} {self._runner.short_token}, system ID: {self._system_id}"
