"""Whether every job went the way it should: from what was gathered to a report. Pure.

Links are followed by what cannot be forged by accident: the runner that GitLab saw (its system id) is an annotation on
one pod, that pod belongs to the chaperon of one proxy (by uid), the proxy is bound to a virtual node whose Target leads
to the very cluster, and what the job says it pushed is what the registry has under that name.
"""

from collections.abc import Sequence

from bridge.names import SYSTEM_ID
from federation.names import CHAPERON_KIND, ELECT, PARENT_UID, TARGET_NAME, TARGET_NAMESPACE
from lab.demo import traces
from lab.demo.facts import LAB, ClusterFacts, Facts, JobFacts, Json, annotation, label, name_of, node_name, phase
from lab.demo.images import judge_image, judge_index, made_by
from lab.demo.report import Report, Row

# What the example's tags mean, as os/arch, and its jobs with their tags; the last one publishes the index.
PLATFORMS = {"amd64": "linux/amd64", "arm64": "linux/arm64", "windows": "windows/amd64"}
JOBS = {"build-amd64": "amd64", "build-arm64": "arm64", "build-windows": "windows", "manifest": "amd64"}
INDEX_JOB = "manifest"

# Keys of the annotations by which the lab's nodes say what they are.
SIMULATES = "isthmus.dev/simulates"
CONTAINERS = "isthmus.dev/containers"

Pod = tuple[ClusterFacts, Json]


def judge(facts: Facts) -> Report:
    """Return the report: a row for each job, the index, and what is wrong."""
    report = Report(engine="embedded" if LAB in facts.source.version else "kube")
    if facts.pipeline is None:
        report.problems.append(f"project {facts.project['path_with_namespace']} has no pipeline")
        return report
    found = {job.job["name"]: job for job in facts.jobs}
    report.problems += [f"{name}: the pipeline has no such job" for name in JOBS if name not in found]
    if facts.pipeline["status"] != "success":
        report.problems.append(f"the pipeline's status is {facts.pipeline['status']}, not success")
    report.rows = [_row(facts, job) for job in facts.jobs]
    builds = [row for row in report.rows if row.job != INDEX_JOB]
    for row in report.rows:
        if row.job == INDEX_JOB:
            report.index, wrong = judge_index(facts, row, {b.digest: PLATFORMS.get(b.tag, "") for b in builds})
            row.problems += wrong
    return report


def _row(facts: Facts, job: JobFacts) -> Row:
    tags = job.job.get("tag_list") or []
    row = Row(job.job["name"], ",".join(tags), job.job["status"], seconds=round(job.job.get("duration") or 0.0, 1))
    if row.status != "success":
        row.problems.append(f"GitLab says {row.status} {job.job.get('failure_reason') or ''}".strip())
    if row.tag != JOBS.get(row.job, row.tag) or row.tag not in PLATFORMS:
        row.problems.append(f"its tag is [{row.tag}], not [{JOBS.get(row.job, 'one of the example')}]")
    if system_id := _system_id(row, job):
        _follow(facts, row, system_id)
    _look_at_image(facts, row, job)
    row.simulated = [*_simulated_by_gitlab(facts, job), *row.simulated]
    return row


def _system_id(row: Row, job: JobFacts) -> str:
    """The runner that ran the job, by the job's log and, while GitLab still knows it, by GitLab's list of runners."""
    by_log = traces.system_id(job.trace)
    by_gitlab = (job.job.get("runner_manager") or {}).get("system_id") or by_log
    if not by_log:
        row.problems.append("its log does not say which runner ran it")
    elif by_gitlab != by_log:
        row.problems.append(f"GitLab says that runner {by_gitlab} ran it, its log says {by_log}")
    return by_log


def _follow(facts: Facts, row: Row, system_id: str) -> None:
    """From the runner's name at GitLab to the pods, the virtual node and the node."""
    pods = [(c, pod) for c in facts.clusters for pod in c.pods if annotation(pod, SYSTEM_ID) == system_id]
    proxies = [(c, pod) for c, pod in pods if _is_proxy(pod)]
    delegates = [(c, pod) for c, pod in pods if _owner(pod) is not None]
    if delegate := _the_one(row, delegates, "delegate pod", system_id):
        _look_at_delegate(row, *delegate)
    if proxy := _the_one(row, proxies, "runner pod", system_id):
        _look_at_proxy(facts, row, *proxy)
    if delegate and proxy:
        _look_at_link(facts, row, proxy[1], delegate)


def _the_one(row: Row, found: Sequence[Pod], what: str, system_id: str) -> Pod | None:
    if len(found) == 1:
        return found[0]
    where = ", ".join(f"{cluster.name}/{name_of(pod)}" for cluster, pod in found)
    count = f"there are {len(found)} {what}s" if found else f"no cluster has a {what}"
    row.problems.append(f"{count} of runner {system_id}{f': {where}' if where else ''}")
    return None


def _look_at_delegate(row: Row, cluster: ClusterFacts, pod: Json) -> None:
    row.cluster, row.delegate, row.node = cluster.name, name_of(pod), node_name(pod)
    if phase(pod) != "Succeeded":
        row.problems.append(f"its delegate {row.delegate} in {cluster.name} is {phase(pod)}, not Succeeded")
    node = cluster.node(row.node)
    if node is None:
        row.problems.append(f"cluster {cluster.name} has no node {row.node!r} of its own")
        return
    platform = f"{label(node, 'kubernetes.io/os')}/{label(node, 'kubernetes.io/arch')}"
    if platform != PLATFORMS.get(row.tag):
        row.problems.append(f"tag {row.tag} ran on a {platform} node: {row.node}")
    row.simulated += ["node"] if annotation(node, SIMULATES) else []
    row.simulated += ["containers"] if annotation(node, CONTAINERS) else []


def _look_at_proxy(facts: Facts, row: Row, cluster: ClusterFacts, pod: Json) -> None:
    row.runner_pod, row.virtual_node = name_of(pod), node_name(pod)
    if cluster is not facts.source:
        row.problems.append(f"its runner pod is in {cluster.name}, not in {facts.source.name}")
    if phase(pod) != "Succeeded":
        row.problems.append(f"its runner pod {row.runner_pod} is shown as {phase(pod)}, not Succeeded")
    node = facts.source.virtual_node(row.virtual_node)
    if node is None:
        row.problems.append(f"its runner pod is bound to {row.virtual_node!r}, which is no virtual node")
        return
    target = (label(node, TARGET_NAMESPACE), label(node, TARGET_NAME))
    if target not in facts.targets:
        row.problems.append(f"virtual node {row.virtual_node} stands for no Target")
        return
    server = facts.targets[target] or facts.source.server
    reached = next((c.name for c in facts.clusters if c.server == server), server)
    if row.cluster and reached != row.cluster:
        row.problems.append(f"virtual node {row.virtual_node} leads to {reached}, but it ran in {row.cluster}")


def _look_at_link(facts: Facts, row: Row, proxy: Json, delegate: Pod) -> None:
    """The delegate is this proxy's, through its chaperon, and the proxy has nothing in any other cluster."""
    cluster, pod = delegate
    uid = proxy["metadata"]["uid"]
    if label(pod, PARENT_UID) != uid:
        row.problems.append(f"delegate {row.delegate} is another pod's, not of {row.runner_pod}")
    if (_owner(pod) or {}).get("uid") not in [chaperon["metadata"]["uid"] for chaperon in cluster.chaperons]:
        row.problems.append(f"the chaperon of {row.delegate} is not in {cluster.name}")
    for other in facts.clusters:
        count = sum(label(found, PARENT_UID) == uid for found in (*other.pods, *other.chaperons))
        if other is not cluster and count:
            row.problems.append(f"{row.runner_pod} still has pods or chaperons in {other.name}")


def _look_at_image(facts: Facts, row: Row, job: JobFacts) -> None:
    said = traces.pushed(job.trace)
    if len(said) != 1:
        row.problems.append(f"its log names {len(said)} pushed images instead of one")
        return
    row.image, row.digest = said[0].image, said[0].digest
    row.problems += judge_image(facts, row.image, row.digest, "" if row.job == INDEX_JOB else PLATFORMS.get(row.tag))
    row.simulated += ["buildah"] if "stand-in" in made_by(facts, row.image) else []


def _simulated_by_gitlab(facts: Facts, job: JobFacts) -> list[str]:
    found = ["engine"] if LAB in facts.source.version else []
    # The registry is GitLab's: the lab never has one of them without the other.
    found += ["gitlab", "registry"] if LAB in facts.gitlab_revision else []
    return found + (["runner"] if f"({LAB})" in job.trace else [])


def _is_proxy(pod: Json) -> bool:
    return ELECT in (pod["metadata"].get("annotations") or {}) and _owner(pod) is None


def _owner(pod: Json) -> Json | None:
    """The chaperon that owns a delegate."""
    owners: list[Json] = pod["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner["kind"] == CHAPERON_KIND), None)
