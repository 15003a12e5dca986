"""What one job of a `.gitlab-ci.yml` asks for, after parsing: frozen, no YAML left in it."""

from __future__ import annotations

from dataclasses import dataclass

from lab.gitlab.ci.variables import Variable


@dataclass(frozen=True, slots=True)
class Need:
    """One entry of `needs:`; `job` may name a parallel job as a whole or one of its instances."""

    job: str
    artifacts: bool = True
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `rules:`. `expression` empty and `changes` None: always matches."""

    expression: str = ""
    changes: tuple[str, ...] | None = None
    when: str = ""
    allow_failure: bool | None = None
    variables: tuple[Variable, ...] = ()
    needs: tuple[Need, ...] | None = None


@dataclass(frozen=True, slots=True)
class RefPolicy:
    """`only:` or `except:`: names, `/patterns/` and words like `branches`; and expressions over variables."""

    refs: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifacts:
    paths: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    untracked: bool = False
    name: str = ""
    when: str = "on_success"
    expire_in: str = ""
    junit: tuple[str, ...] = ()  # `reports: junit`: test results, an artifact of their own


@dataclass(frozen=True, slots=True)
class Image:
    name: str
    entrypoint: tuple[str, ...] | None = None
    pull_policy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often (0-2) and after which failure reasons a failed job is tried again."""

    attempts_max: int = 0
    when: tuple[str, ...] = ("always",)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job before or after its rules were applied. `group` is its name in the file (parallel instances share it)."""

    name: str
    group: str
    stage: str
    script: tuple[str, ...]
    before_script: tuple[str, ...] = ()
    after_script: tuple[str, ...] = ()
    image: Image | None = None
    variables: tuple[Variable, ...] = ()
    tags: tuple[str, ...] = ()
    needs: tuple[Need, ...] | None = None
    dependencies: tuple[str, ...] | None = None
    rules: tuple[Rule, ...] | None = None
    only: RefPolicy | None = None
    except_: RefPolicy | None = None
    when: str = "on_success"
    allow_failure: bool | None = None
    allow_failure_exit_codes: tuple[int, ...] = ()
    retry: Retry = Retry()
    artifacts: Artifacts | None = None
    timeout_seconds: int | None = None

    @property
    def may_fail(self) -> bool:
        """Whether a failure lets the pipeline pass; a manual job may by default, as in GitLab."""
        return self.when == "manual" if self.allow_failure is None else self.allow_failure
