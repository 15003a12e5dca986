"""Labels, annotations and object names of the bridge's own, each once; the federation's are in federation.names.

The prefix is not the federation's: what begins with that stays at home, and the system id has to reach the target.

Names are deterministic: a Job is named after the CI job it was made for and the attempt, a runner's system id after
its Job. A bridge that crashed between two writes therefore repeats the same write, and the second one is refused.
"""

from hashlib import sha256

from federation.kube.api import Manifest

MANAGED_BY = "app.kubernetes.io/managed-by"
BRIDGE = "bridge.isthmus.dev/bridge"  # which bridge owns the object, so that two can share a namespace
PROFILE = "bridge.isthmus.dev/profile"
CI_JOB = "bridge.isthmus.dev/ci-job"  # the GitLab job the pod was made for; it may run another one
ATTEMPT = "bridge.isthmus.dev/attempt"
TOKEN = "bridge.isthmus.dev/token"  # noqa: S105  # a fingerprint: pods of an older token cannot ask for jobs any more
SYSTEM_ID = "bridge.isthmus.dev/system-id"  # annotation: what the runner calls itself at GitLab
RUNNER_ID = "bridge.isthmus.dev/runner-id"  # annotation on the Secret
TEMPLATE = "bridge.isthmus.dev/template"  # annotation on a Deployment: which pods it was written for
PAUSED_SINCE = "bridge.isthmus.dev/runner-paused-since"  # annotation on a Deployment: we paused its runner at GitLab
APP = "app.kubernetes.io/name"
FEDERATED_RUNNER = "gitlab-runner-federated"  # value of APP: pods of Deployments, and no others
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
CI_JOB_NAME = "bridge.isthmus.dev/ci-job-name"  # annotation: project and name, for people
CI_JOB_URL = "bridge.isthmus.dev/ci-job-url"


def labels(bridge: str, profile: str) -> dict[str, str]:
    """Return the labels of everything that belongs to a profile."""
    return {MANAGED_BY: "isthmus-bridge", BRIDGE: bridge, PROFILE: profile}


def selector(bridge: str) -> str:
    """Return the label selector of everything this bridge owns."""
    return f"{MANAGED_BY}=isthmus-bridge,{BRIDGE}={bridge}"


def job_name(bridge: str, profile: str, ci_job: int, attempt: int) -> str:
    """Return the name of the Kubernetes Job for one attempt at one CI job."""
    return f"{bridge}-{profile}-{ci_job}-{attempt}"


def spare_name(bridge: str, profile: str, number: int) -> str:
    """Return the name of the Kubernetes Job of a spare runner: one made for no CI job in particular."""
    return f"{bridge}-{profile}-idle-{number}"


def secret_name(bridge: str, profile: str) -> str:
    """Return the name of the Secret with a profile's token and config.toml."""
    return f"{bridge}-runner-{profile}"


def runner_name(bridge: str, profile: str) -> str:
    """Return the description of the profile's runner at GitLab: it is how a bridge without memory finds it again."""
    return f"{bridge}/{profile} (isthmus bridge)"


def system_id(seed: str) -> str:
    """Return what a runner calls itself at GitLab: `r_` and 12 letters or digits, as GitLab requires."""
    return "r_" + sha256(seed.encode()).hexdigest()[:12]


def system_id_of_pod(uid: str) -> str:
    """Return what the runner in a Deployment's pod calls itself: the first 48 bits of the pod's random UID.

    A template cannot give each pod an annotation of its own, and in a target the pod has another name and UID. But
    there it carries the UID of its proxy as a label, so that the pod itself and we at home can name it alike.
    """
    return "r_" + uid.replace("-", "")[:12]


def token_fingerprint(token: str) -> str:
    """Return which token this is without telling it: tokens are random, ten hex digits of a hash give nothing away."""
    return sha256(token.encode()).hexdigest()[:10]


def name_of(manifest: Manifest) -> str:
    """Return an object's name."""
    return str(manifest["metadata"]["name"])
