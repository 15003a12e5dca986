"""How a runner ends: signals, cancellations, refusals; always within two seconds where it was told to stop now."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
from aiohttp import web

from tests.lab.runner.conftest import Call, Program, Recorder, ended, job_payload


async def _until_running(recorder: Recorder, text: str) -> None:
    await recorder.until(lambda: any(call.method == "PATCH" and text.encode() in call.body for call in recorder.calls))


async def test_quit_lets_the_job_finish(recorder: Recorder, program: Program) -> None:
    recorder.jobs += [job_payload("echo go", "sleep 2", "echo finished"), job_payload("echo second", id=102)]
    process = await program.start("run-single", "-c", "config.toml", "-r", "lab")
    await _until_running(recorder, "01O go")
    process.send_signal(signal.SIGQUIT)
    assert (await ended(process))[0] == 0
    assert recorder.puts()[-1]["state"] == "success"
    assert "01O finished" in recorder.text
    assert len(recorder.jobs) == 1, "no second job is taken"


async def test_quit_during_a_poll_loses_no_job_that_arrives_in_it(recorder: Recorder, program: Program) -> None:
    recorder.poll_seconds = 1
    recorder.jobs.append(job_payload("echo run"))
    process = await program.start("run-single", "-c", "config.toml", "-r", "lab")
    await recorder.until(lambda: len(recorder.calls) == 1)
    process.send_signal(signal.SIGQUIT)
    assert (await ended(process))[0] == 0
    assert recorder.puts()[-1]["state"] == "success"


async def test_term_aborts_the_job_and_says_so(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("echo go", "trap '' TERM; sleep 60"))
    process = await program.start()
    await _until_running(recorder, "01O go")
    process.send_signal(signal.SIGTERM)
    code, _ = await ended(process, 20)
    assert code == 1
    done = recorder.puts()[-1]
    assert (done["state"], done["failure_reason"]) == ("failed", "runner_interrupted")


@pytest.mark.parametrize("command", ["run-single", "run"])
async def test_term_ends_a_held_poll_at_once(recorder: Recorder, program: Program, command: str) -> None:
    recorder.poll_seconds = 30
    process = await program.start(command, "-c", "config.toml")
    await recorder.until(lambda: len(recorder.calls) == 1)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert (await ended(process))[0] == 1
    assert time.monotonic() - started < 10


async def test_run_takes_jobs_one_after_the_other_until_quit(recorder: Recorder, program: Program) -> None:
    recorder.jobs += [job_payload("echo one"), job_payload("echo two", id=102)]
    process = await program.start("run", "-c", "config.toml", "--working-directory", str(program.directory))
    await recorder.until(lambda: [put["state"] for put in recorder.puts()].count("success") == 2)
    process.send_signal(signal.SIGQUIT)
    assert (await ended(process, 20))[0] == 0


async def test_trap_1_9_run_drops_the_poll_in_flight_and_with_it_a_job_that_arrives(
    recorder: Recorder, program: Program
) -> None:
    """Unlike run-single. It is why a Deployment is shrunk only while its runner is paused."""
    recorder.poll_seconds = 1
    recorder.jobs.append(job_payload("echo lost"))
    process = await program.start("run", "-c", "config.toml")
    await recorder.until(lambda: len(recorder.calls) == 1)
    process.send_signal(signal.SIGQUIT)
    assert (await ended(process))[0] == 0
    assert recorder.puts() == []


async def test_trap_1_9_quit_asked_for_again_and_again_still_lets_the_job_finish(
    recorder: Recorder, program: Program
) -> None:
    recorder.jobs.append(job_payload("echo go", "sleep 2", "echo finished"))
    process = await program.start("run", "-c", "config.toml")
    await _until_running(recorder, "01O go")
    for _ in range(3):
        process.send_signal(signal.SIGQUIT)
        await asyncio.sleep(0.3)
    assert (await ended(process))[0] == 0
    assert recorder.puts()[-1]["state"] == "success"


async def test_a_job_canceled_gracefully_still_runs_its_after_script(recorder: Recorder, program: Program) -> None:
    after = {"name": "after_script", "script": ['echo "after: $CI_JOB_STATUS"'], "when": "always"}
    recorder.jobs.append(job_payload("echo go", "sleep 60", more_steps=[after]))
    _answer_patches_with(recorder, "canceling")
    assert (await program.run())[0] == 0
    assert "01O after: canceled" in recorder.text
    assert recorder.puts()[-1]["state"] == "failed"


async def test_a_job_that_is_over_for_gitlab_is_dropped_without_a_word(recorder: Recorder, program: Program) -> None:
    after = {"name": "after_script", "script": ["echo after"], "when": "always"}
    recorder.jobs.append(job_payload("echo go", "sleep 60", more_steps=[after]))
    _answer_patches_with(recorder, "canceled")
    assert (await program.run())[0] == 0
    assert [put["state"] for put in recorder.puts()] == ["running"]
    assert "after" not in recorder.text


def _answer_patches_with(recorder: Recorder, status: str) -> None:
    def answer(call: Call) -> web.Response | None:
        if call.method != "PATCH":
            return None
        recorder.trace.extend(call.body)
        headers = {"Job-Status": status, "Range": f"0-{len(recorder.trace)}"}
        return web.Response(status=202, headers=headers)

    recorder.answer = answer


async def test_a_refused_token_is_not_asked_with_again_for_minutes(recorder: Recorder, program: Program) -> None:
    recorder.answer = lambda call: web.json_response({"message": "403 Forbidden"}, status=403)
    process = await program.start()
    await recorder.until(lambda: len(recorder.calls) == 1)
    with pytest.raises(TimeoutError):
        await ended(process, 3)
    assert len(recorder.calls) == 1
    process.send_signal(signal.SIGTERM)
    assert (await ended(process, 20))[0] == 1
