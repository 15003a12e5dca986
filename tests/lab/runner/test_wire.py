"""The requests of one job in their order, as GitLab Runner 19.3 was recorded making them."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from aiohttp import web

from tests.lab.runner.conftest import JOB_TOKEN, TOKEN, Call, Program, Recorder, job_payload

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \d\d[OE][ +]")


async def test_a_job_is_four_requests_in_this_order(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("echo hello"))
    code, log = await program.run()
    assert code == 0, log
    assert [(call.method, call.path) for call in recorder.calls] == [
        ("POST", "jobs/request"),
        ("PUT", "jobs/101"),
        ("PATCH", "jobs/101/trace?debug_trace=false"),
        ("PUT", "jobs/101"),
    ]
    asked, taken, traced, done = recorder.calls
    assert asked.headers["Runner-Token"] == asked.json["token"] == TOKEN
    assert asked.headers["User-Agent"].startswith("gitlab-runner 19.3.0-isthmus-lab (")
    assert re.fullmatch("[0-9a-f]{32}", asked.headers["X-Request-Id"])
    assert asked.json["system_id"] == (program.directory / ".runner_system_id").read_text()
    info = asked.json["info"]
    assert (info["name"], info["executor"], info["shell"], info["platform"]) == (
        "gitlab-runner",
        "shell",
        "bash",
        "linux",
    )
    assert info["features"]["two_phase_job_commit"] is info["features"]["cancel_gracefully"] is True
    assert info["features"]["image"] is False
    assert taken.json == {"info": info, "token": JOB_TOKEN, "state": "running", "output": {}}
    assert taken.headers["Job-Token"] == traced.headers["Job-Token"] == JOB_TOKEN
    assert traced.headers["Content-Type"] == "text/plain"
    assert traced.headers["Content-Range"] == f"0-{len(traced.body) - 1}"
    output = {"checksum": f"crc32:{zlib.crc32(traced.body):08x}", "bytesize": len(traced.body)}
    assert (done.json["state"], done.json["output"], done.json["checksum"]) == ("success", output, output["checksum"])


async def test_the_trace_has_times_streams_and_sections(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("echo to-out; echo to-err >&2; printf unended"))
    await program.run()
    lines = recorder.text.removesuffix("\n").split("\n")
    assert all(LINE.match(line) for line in lines), recorder.text
    assert any(line.endswith(" 01O to-out") for line in lines)
    assert any(line.endswith(" 01E to-err") for line in lines)
    assert any(line.endswith(" 01O unended") for line in lines)
    starts = re.findall(r"00O section_start:\d+:(\w+)\r\x1b\[0K", recorder.text)
    assert starts == ["prepare_executor", "prepare_script", "get_sources", "step_script", "cleanup_file_variables"]
    assert "Job succeeded" in lines[-1]


async def test_a_failed_script_is_reported_and_the_runner_still_exits_0(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("echo before", "false | true", "(exit 7)", "echo never"))
    code, _ = await program.run()
    assert code == 0
    done = recorder.puts()[-1]
    assert (done["state"], done["failure_reason"], done["exit_code"]) == ("failed", "script_failure", 1)
    assert "never" not in recorder.text.replace("$ echo never", "")
    assert "ERROR: Job failed: exit status 1" in recorder.text


async def test_an_empty_poll_is_followed_by_one_that_knows_the_queue(recorder: Recorder, program: Program) -> None:
    code, log = await program.run("run-single", "-c", "config.toml", "-r", "lab", "--wait-timeout", "2")
    assert (code, "wait timeout" in log) == (0, True)
    first, second = recorder.calls[:2]
    assert "last_update" not in first.json
    assert second.json["last_update"] == "value-1"


async def test_max_builds_counts_jobs_that_were_run_only(recorder: Recorder, program: Program) -> None:
    recorder.jobs += [job_payload("echo one"), job_payload("echo two", id=102)]

    def refuse_first(call: Call) -> web.Response | None:
        is_first = call.path == "jobs/101"
        return web.json_response({"message": "403 Forbidden"}, status=403) if is_first else None

    recorder.answer = refuse_first
    code, _ = await program.run()
    assert code == 0
    assert [put["state"] for put in recorder.puts()] == ["running", "running", "success"]
    assert "two" in recorder.text
    assert "one" not in recorder.text


async def test_the_trace_goes_on_from_where_the_server_says(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("echo hello"))
    stored: list[bytes] = []

    def forgetful(call: Call) -> web.Response | None:
        if call.method != "PATCH":
            return None
        start = int(call.headers["Content-Range"].split("-")[0])
        if not stored:
            stored.append(call.body[:10])
            return web.Response(status=416, headers={"Range": "0-10", "Job-Status": "running"})
        assert start == 10
        stored.append(call.body)
        return web.Response(status=202, headers={"Range": "0-99"})

    recorder.answer = forgetful
    await program.run()
    assert recorder.puts()[-1]["output"]["bytesize"] == len(b"".join(stored))


async def test_a_trace_the_server_cannot_confirm_is_sent_again(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("echo hello"))
    refusals = [412]

    def doubtful(call: Call) -> web.Response | None:
        is_final = call.method == "PUT" and call.json["state"] == "success"
        return web.Response(status=refusals.pop()) if is_final and refusals else None

    recorder.answer = doubtful
    await program.run()
    whole = [call for call in recorder.calls if call.method == "PATCH"]
    assert [call.headers["Content-Range"].split("-")[0] for call in whole] == ["0", "0"]
    assert whole[0].body == whole[1].body


async def test_a_busy_server_is_asked_again(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("echo hello"))
    busy = [503, 429]
    recorder.answer = lambda call: web.Response(status=busy.pop()) if busy else None
    code, _ = await program.run()
    assert (code, recorder.puts()[-1]["state"]) == (0, "success")
    assert [call.path for call in recorder.calls[:3]] == ["jobs/request"] * 3


async def test_verify_and_unregister(recorder: Recorder, program: Program) -> None:
    chosen = ("-c", "config.toml", "-r", "lab")
    assert (await program.run("verify", *chosen))[0] == 0
    recorder.answer = lambda call: web.Response(status=204 if call.method == "DELETE" else 403)
    assert (await program.run("unregister", *chosen))[0] == 0
    assert (await program.run("verify", *chosen))[0] == 1
    verified, unregistered = recorder.calls[:2]
    assert set(verified.json) == {"info", "token", "system_id"}
    assert (unregistered.path, set(unregistered.json)) == ("runners/managers", {"token", "system_id"})


async def test_flags_and_environment_alone_are_enough(recorder: Recorder, program: Program, tmp_path: Path) -> None:
    recorder.jobs.append(job_payload("echo hello"))
    flags = ("--url", recorder.url, "--token", TOKEN, "--executor", "shell", "--builds-dir", str(tmp_path / "b"))
    assert (await program.run("run-single", *flags, "--max-builds", "1"))[0] == 0
    assert (tmp_path / "b" / "t01234567" / "0" / "g" / "p").is_dir()
    code, log = await program.run("run-single", "--url", recorder.url)
    assert code == 1
    assert "token is missing" in log
