"""From the text of `.gitlab-ci.yml` to jobs, and what is said about texts that cannot become any."""

from __future__ import annotations

import pytest

from lab.gitlab.ci.config import parse
from lab.gitlab.ci.rules import Occasion, select
from lab.gitlab.ci.spec import JobSpec, Need
from lab.gitlab.ci.variables import as_values
from lab.gitlab.errors import CiConfigError


def jobs_of(
    text: str, *, ref: str = "main", is_tag: bool = False, changed: frozenset[str] | None = None
) -> dict[str, JobSpec]:
    values = {"CI_COMMIT_REF_NAME": ref, "CI_DEFAULT_BRANCH": "main", "CI_PIPELINE_SOURCE": "push"}
    values["CI_COMMIT_TAG" if is_tag else "CI_COMMIT_BRANCH"] = ref
    occasion = Occasion(ref, is_tag, "push", values, {"OVERRIDE": "yes"}, changed)
    return {job.name: job for job in select(parse(text), occasion)}


def test_defaults_extends_references_and_anchors_come_together() -> None:
    found = jobs_of("""
.shared: &shared {image: debian, retry: 1}
.setup: {script: [one, [two]], variables: {A: base, B: base}}
.more: {extends: .setup, variables: {B: more}}
default: {tags: [linux], before_script: [prepare]}
variables: {GLOBAL: "1", A: global}
stages: [make]
job:
  <<: *shared
  extends: .more
  stage: make
  script:
    - !reference [.setup, script]
    - three
  variables: {C: mine}
""")
    job = found["job"]
    assert job.script == ("one", "two", "three")
    assert (job.before_script, job.tags, job.retry.attempts_max) == (("prepare",), ("linux",), 1)
    assert as_values(job.variables) == {"GLOBAL": "1", "A": "base", "B": "more", "C": "mine"}


def test_a_matrix_fans_out_with_tags_from_its_variables() -> None:
    found = jobs_of("""
build:
  parallel: {matrix: [{ARCH: [arm64, amd64], KIND: slim}]}
  variables: {PLATFORM: linux-$ARCH}
  tags: ["$PLATFORM"]
  script: [make]
join: {stage: deploy, needs: [build], script: [join]}
three: {parallel: 3, script: [test]}
""")
    assert list(found)[:2] == ["build: [arm64, slim]", "build: [amd64, slim]"]
    assert found["build: [arm64, slim]"].tags == ("linux-arm64",)
    assert found["join"].needs == (Need("build"),)
    assert as_values(found["three 2/3"].variables) == {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}


@pytest.mark.parametrize(
    ("rule", "runs"),
    [
        ("{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}", True),
        ("{if: '$CI_COMMIT_BRANCH != \"main\"'}", False),
        ("{if: '$CI_COMMIT_BRANCH =~ /^ma/ && $CI_COMMIT_TAG == null'}", True),
        ("{if: '$CI_COMMIT_BRANCH =~ /^MA/i'}", True),
        ("{if: '$CI_COMMIT_BRANCH !~ /^ma/'}", False),
        ("{if: '$NOTHING || ($OVERRIDE == \"yes\" && $CI_COMMIT_BRANCH)'}", True),
        ("{if: '$NOTHING'}", False),
        ("{when: never}", False),
        ("{changes: [src/**/*]}", True),
        ("{changes: [docs/*.md, '*.py']}", False),
        ("{changes: {paths: ['**/*.c']}}", True),
    ],
)
def test_rules_decide_whether_a_job_is_there(rule: str, runs: bool) -> None:
    text = f"job: {{script: [x], rules: [{rule}]}}\nother: {{script: [x]}}"
    assert ("job" in jobs_of(text, changed=frozenset({"src/lib/a.c"}))) is runs


def test_the_first_matching_rule_sets_when_variables_and_needs() -> None:
    found = jobs_of("""
first: {script: [x]}
job:
  script: [x]
  variables: {TARGET: none}
  rules:
    - if: $CI_COMMIT_TAG
      when: never
    - if: $CI_COMMIT_BRANCH
      when: manual
      variables: {TARGET: branch}
      needs: [first]
    - when: always
""")
    job = found["job"]
    assert (job.when, job.may_fail, job.needs) == ("manual", False, (Need("first"),))
    assert as_values(job.variables) == {"TARGET": "branch"}


@pytest.mark.parametrize(
    ("policy", "on_branch", "on_tag"),
    [
        ("only: [main]", True, False),
        ("only: [tags]", False, True),
        ("only: [branches, tags]", True, True),
        ("except: [/^v/]", True, False),
        ("only: {refs: [branches], variables: ['$OVERRIDE == \"no\"']}", False, False),
    ],
)
def test_only_and_except(policy: str, on_branch: bool, on_tag: bool) -> None:
    text = f"job: {{script: [x], {policy}}}"
    assert ("job" in jobs_of(text)) is on_branch
    assert ("job" in jobs_of(text, ref="v1", is_tag=True)) is on_tag


def test_workflow_rules_can_refuse_the_pipeline_and_add_variables() -> None:
    text = """
workflow: {rules: [{if: $CI_COMMIT_TAG, when: never}, {if: $CI_COMMIT_BRANCH, variables: {CHANNEL: dev}}]}
job: {script: [x], tags: [$CHANNEL]}
"""
    assert jobs_of(text, ref="v1", is_tag=True) == {}
    assert jobs_of(text)["job"].tags == ("dev",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job: {script: [x}", "Invalid configuration format"),
        ("- a", "must be a map"),
        ("job: {script: &a [*a]}", "an anchor contains itself"),
        ("stages: [a]", "at least one visible job"),
        ("job: {stage: test}", "jobs:job config should implement the script: keyword"),
        ("job: {script: [x], colour: red}", "jobs:job config contains unknown keys: colour"),
        ("job: {script: [x], trigger: other}", "jobs:job config uses trigger: not supported by the lab"),
        ("include: other.yml\njob: {script: [x]}", "include: not supported by the lab"),
        (
            "job: {script: [x], stage: nope}",
            "job job: chosen stage nope does not exist; available stages are .pre, build",
        ),
        ("job: {script: [x], needs: [ghost]}", "job job: undefined need: ghost"),
        ("a: {script: [x], needs: [b]}\nb: {script: [x], needs: [a]}", "The pipeline has circular dependencies"),
        ("a: {script: [x], stage: build, needs: [b]}\nb: {script: [x]}", "need b is not defined in current or prior"),
        ("job: {script: [x], extends: .ghost}", "job: unknown keys in `extends` (.ghost)"),
        (".a: {extends: .b}\n.b: {extends: .a}\njob: {extends: .a, script: [x]}", "circular dependency"),
        ("job: {script: !reference [.ghost, script]}", "!reference ['.ghost', 'script'] could not be found"),
        ("job: {script: !reference [job, script]}", "deeper than 10 levels"),
        ("job: {script: [x], retry: 3}", "jobs:job:retry should be a whole number from 0 to 2"),
        ("job: {script: [x], retry: {max: 1, when: [rain]}}", "jobs:job:retry:when should be one of: always"),
        ("job: {script: [x], when: later}", "jobs:job:when should be one of"),
        ("job: {script: [x], timeout: soon}", "jobs:job:timeout config should be a duration"),
        ("job: {script: [x], variables: {A: true}}", "jobs:job:variables:A config must be a string or a number"),
        ("job: {script: [x], rules: [{iff: x}]}", "jobs:job:rules:rule[0] config contains unknown keys: iff"),
        ("job: {script: [x], rules: [{if: '$A =='}]}", "invalid expression syntax: '$A =='"),
        ("job: {script: [x], rules: [{if: x}], only: [main]}", "may not be used with `rules`"),
        ("job: {script: [x], parallel: {matrix: 1}}", "jobs:job:parallel config should be"),
        ("job: {script: [x], artifacts: {path: [a]}}", "jobs:job:artifacts config contains unknown keys: path"),
        ("gone: {script: [x], only: [tags]}\njob: {script: [x], needs: [gone]}", "'job' job needs 'gone' job, but"),
    ],
)
def test_a_fault_is_named_with_its_job_and_key(text: str, message: str) -> None:
    with pytest.raises(CiConfigError) as raised:
        jobs_of(text)
    assert message in str(raised.value)


def test_all_faulty_jobs_are_reported_at_once() -> None:
    with pytest.raises(CiConfigError) as raised:
        parse("a: {stage: test}\nb: {script: [x], color: 1}")
    assert len(raised.value.messages) == 2
