"""Which profile a job belongs to, by its tags, and why none where none does. Pure.

GitLab gives a job to any runner whose tags contain the job's; we count each job once, for the profile that fits best.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.observed import PendingJob
from bridge.profiles import Profile


@dataclass(frozen=True, slots=True)
class Unroutable:
    """A pending job that no profile can take, and why."""

    job: PendingJob
    reason: str


def routed(
    profiles: Sequence[Profile], pending: Iterable[PendingJob]
) -> tuple[dict[str, list[PendingJob]], list[Unroutable]]:
    """Return the waiting jobs by profile, oldest first, and those that no profile takes."""
    found: dict[str, list[PendingJob]] = {profile.name: [] for profile in profiles}
    lost = []
    by_tags: dict[frozenset[str], Profile | None] = {}  # thousands of jobs carry few different sets of tags
    for job in sorted(pending, key=lambda job: job.id):
        if job.is_assigned:
            continue  # a runner has it and will acknowledge it, or GitLab puts it back
        if job.tags not in by_tags:
            by_tags[job.tags] = route(profiles, job.tags)
        profile = by_tags[job.tags]
        if profile:
            found[profile.name].append(job)
        else:
            lost.append(Unroutable(job, why_unroutable(profiles, job.tags)))
    return found, lost


def route(profiles: Sequence[Profile], tags: frozenset[str]) -> Profile | None:
    """Return the most specific profile for these tags: the one with the fewest tags the job did not ask for."""
    return min((profile for profile in profiles if profile.fits(tags)), key=lambda p: len(p.tags), default=None)


def why_unroutable(profiles: Sequence[Profile], tags: frozenset[str]) -> str:
    """Return, for a person, why no profile takes a job with these tags."""
    if not tags:
        return "the job has no tags, and no profile takes untagged jobs"
    nearest = min(profiles, key=lambda profile: len(tags - set(profile.tags)), default=None)
    if nearest is None:
        return "there are no profiles"
    missing = ", ".join(sorted(tags - set(nearest.tags)))
    if len(missing) and not tags & set(nearest.tags):
        return f"no profile has the tags [{', '.join(sorted(tags))}]"
    return f"no profile has all its tags; the nearest, {nearest.name}, lacks [{missing}]"
