"""The variables of a job as its runner receives them."""

from __future__ import annotations

from dataclasses import replace

from lab.gitlab.ci.variables import Variable
from lab.gitlab.payload import job_payload, variables_of
from tests.lab.gitlab.core import Core


def test_precedence_nesting_files_and_raw_values() -> None:
    core = Core()
    site = replace(
        core.state.site, variables=(Variable("CERTIFICATE", "-----BEGIN", file=True), Variable("LEVEL", "site"))
    )
    core.project.variables["SECRET"] = Variable("SECRET", "hidden", public=False, masked=True)
    pipeline = core.pipeline(
        """
variables: {LEVEL: global, TAG: "$CI_COMMIT_SHORT_SHA-$KIND", KIND: none, LOOP: "$LOOP"}
job:
  script: [x]
  variables: {KIND: "$LEVEL", WHERE: "$CI_PROJECT_DIR/$CERTIFICATE", AS_IS: {value: "$KIND", expand: false}}
""",
        LEVEL="pipeline",
    )
    values = {variable.key: variable.value for variable in variables_of(site, pipeline.jobs[0])}
    assert values["TAG"] == "a1a1a1a1-pipeline"
    assert values["AS_IS"] == "$KIND"
    assert values["LOOP"] == "$LOOP"
    assert values["WHERE"] == "$CI_PROJECT_DIR/$CERTIFICATE", "the runner knows both places, the server neither"
    assert values["CI_COMMIT_BRANCH"] == values["CI_DEFAULT_BRANCH"] == "main"
    assert "CI_COMMIT_TAG" not in values

    rows = {row["key"]: row for row in job_payload(site, pipeline.jobs[0])["variables"]}  # type: ignore[attr-defined]
    assert rows["CERTIFICATE"]["file"] is rows["AS_IS"]["raw"] is True
    assert rows["SECRET"] == {"key": "SECRET", "value": "hidden", "public": False, "masked": True}
