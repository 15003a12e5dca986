"""What a job sees and leaves: variables, files, scripts around it, masking, limits, artifacts."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from aiohttp import web

from tests.lab.runner.conftest import Call, Program, Recorder, job_payload


def variable(key: str, value: str, **flags: bool) -> dict[str, Any]:
    return {"key": key, "value": value, "public": True, "masked": False, **flags}


async def test_variables_are_exported_filled_in_and_overridden_in_order(recorder: Recorder, program: Program) -> None:
    more = [
        variable("NAME", "first"),
        variable("NAME", 'it\'s "last"'),
        variable("NESTED", "$NAME in ${CI_PROJECT_DIR}"),
        variable("RAW", "$NAME", raw=True),
        variable("CERT", "line one\nline two\n", file=True),
    ]
    script = [
        'echo "[$NESTED]"',
        'echo "[$RAW]"',
        'cat "$CERT"',
        'echo "$FROM_RUNNER"; test "$PWD" = "$CI_PROJECT_DIR"',
    ]
    recorder.jobs.append(job_payload(*script, more_variables=more))
    program.settings = 'environment = ["FROM_RUNNER=of the runner"]\n'
    await program.run()
    assert f'[it\'s "last" in {program.directory}/builds/t01234567/0/g/p]' in recorder.text
    assert "[$NAME]" in recorder.text
    assert "01O line two" in recorder.text
    assert "of the runner" in recorder.text
    assert recorder.puts()[-1]["state"] == "success", recorder.text
    assert not list(program.directory.rglob("CERT")), "file variables are removed"


async def test_masked_values_and_tokens_never_reach_the_trace(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(
        job_payload(
            "printf 'a s3cr'; sleep 0.3; echo 3t-value z",
            'echo "base $SECRET" >&2',
            "echo glpat-abcdefghij.0 end",
            more_variables=[variable("SECRET", "s3cr3t-value", masked=True)],
            features={"token_mask_prefixes": ["glpat-"]},
        )
    )
    await program.run()
    assert "01O a [MASKED] z" in recorder.text
    assert "01E base [MASKED]" in recorder.text
    assert "01O glpat-[MASKED] end" in recorder.text
    assert "s3cr3t-value" not in recorder.text


async def test_after_script_runs_apart_and_cannot_change_the_result(recorder: Recorder, program: Program) -> None:
    after = {"name": "after_script", "script": ['echo "was $CI_JOB_STATUS, $LEFT"', "exit 9"], "when": "always"}
    recorder.jobs.append(job_payload("LEFT=over", "exit 4", more_steps=[after]))
    program.settings = "pre_build_script = '''\necho before-all\n'''\n"
    await program.run()
    assert "01O was failed, " in recorder.text
    assert "WARNING: after_script failed" in recorder.text
    assert recorder.text.index("01O before-all") < recorder.text.index("$ LEFT=over")
    assert recorder.puts()[-1]["exit_code"] == 4


async def test_a_job_that_takes_too_long_is_stopped(recorder: Recorder, program: Program) -> None:
    after = {"name": "after_script", "script": ["echo still-run"], "when": "always"}
    reasons = {"failure_reasons": ["job_execution_timeout"]}
    slow = job_payload("sleep 60", more_steps=[after], runner_info={"timeout": 1}, features=reasons)
    recorder.jobs.append(slow)
    await program.run()
    assert recorder.puts()[-1]["failure_reason"] == "job_execution_timeout"
    assert "01O still-run" in recorder.text


async def test_output_beyond_the_limit_is_left_out(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("head -c 20000 /dev/zero | tr '\\0' x | fold", "echo unseen"))
    program.settings = "output_limit = 4\n"
    await program.run()
    assert "Job's log exceeded limit of 4096 bytes." in recorder.text
    assert len(recorder.trace) < 4500
    assert recorder.puts()[-1]["state"] == "success"


async def test_a_background_process_does_not_keep_the_job(recorder: Recorder, program: Program) -> None:
    recorder.jobs.append(job_payload("sleep 300 & echo started"))
    code, _ = await program.run()
    assert (code, recorder.puts()[-1]["state"]) == (0, "success")


async def test_artifacts_go_up_as_one_zip_and_come_down_before_the_script(recorder: Recorder, program: Program) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("given/input.txt", "from before\n")
    downloads = {
        "id": 7,
        "token": "glcbt-64_dep",
        "name": "earlier",
        "artifacts_file": {"filename": "a.zip", "size": 1},
    }
    wanted = {
        "name": None,
        "paths": ["out/", "*.txt"],
        "exclude": ["out/*.tmp"],
        "when": "always",
        "expire_in": "1 day",
    }
    script = ["cat given/input.txt", "mkdir out && touch out/a out/b.tmp top.txt", "exit 1"]
    recorder.jobs.append(job_payload(*script, artifacts=[wanted], dependencies=[downloads]))

    def serve_artifacts(call: Call) -> web.Response | None:
        if call.method == "GET":
            assert call.headers["Job-Token"] == "glcbt-64_dep"
            return web.Response(body=archive.getvalue(), content_type="application/zip")
        return web.json_response({}, status=201) if call.path.startswith("jobs/101/artifacts") else None

    recorder.answer = serve_artifacts
    await program.run()
    assert "01O from before" in recorder.text
    upload = next(call for call in recorder.calls if call.method == "POST" and "artifacts" in call.path)
    assert upload.path == "jobs/101/artifacts?artifact_format=zip&artifact_type=archive&expire_in=1+day"
    assert upload.headers["Transfer-Encoding"] == "chunked"
    content = upload.body[upload.body.index(b"PK") :]
    assert sorted(zipfile.ZipFile(io.BytesIO(content.rpartition(b"\r\n--")[0])).namelist()) == ["out/a", "top.txt"]
    assert recorder.puts()[-1]["exit_code"] == 1
