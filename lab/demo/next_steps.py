"""What to try in a lab that `--keep` has left running. Pure text."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lab.demo.pushing import PROJECT
from lab.directory import LabRecord
from lab.engines.engine import kube_directory


def next_steps(record: LabRecord, directory: Path, checkout: Path, example: Path, pipeline_url: str) -> str:
    """Return the text; every command in it can be pasted as it is."""
    home = record.clusters[0]
    gitlab, registry = record.services["gitlab"], record.services["registry"]
    host = urlsplit(registry["url"]).netloc
    kubectl = _kubectl()
    lines = [
        "",
        "The lab goes on running. Its clusters:",
        *(f"  export KUBECONFIG={shlex.quote(cluster.kubeconfig)}  # {cluster.name}" for cluster in record.clusters),
        "",
        f"GitLab    {gitlab['url']}  (user root)",
        f"token     {gitlab['token']}",
        f"pipeline  {pipeline_url}",
        f"registry  {registry['url']}  (same user, token as password)",
        "",
        "Try, for instance:",
        f"  export KUBECONFIG={shlex.quote(home.kubeconfig)}",
        "  # virtual nodes, and runner pods that show what goes on in other clusters",
        f"  {kubectl} get nodes,pods -o wide",
        f"  {kubectl} logs --prefix -l app.kubernetes.io/managed-by=isthmus-bridge",
        *_example(example, kubectl),
        "  # another pipeline",
        f"  cd {shlex.quote(str(checkout))}",
        "  git commit --allow-empty -m again && git push",
        "  # the images",
        f"  export SSL_CERT_FILE={shlex.quote(registry['ca_file'])}",
        f"  skopeo list-tags --creds root:{gitlab['token']} \\",
        f"    docker://{host}/root/{PROJECT}",
        "",
        f"End it:  isthmus lab down{_dir_option(directory)}",
        "",
    ]
    return "\n".join(lines)


def _kubectl() -> str:
    """How to call kubectl here: as everybody does, or the one that `make kube` has built."""
    built = kube_directory() / "kubectl"
    return "kubectl" if shutil.which("kubectl") or not built.is_file() else shlex.quote(str(built))


def _example(example: Path, kubectl: str) -> Sequence[str]:
    job = example.parent / "02-annotated-pod" / "job.yaml"
    if not job.is_file():
        return ()
    return (
        "  # a plain Job that one annotation sends to some cluster",
        f"  {kubectl} apply -f {shlex.quote(_short(job))}",
        f"  {kubectl} logs -f job/where-am-i",
    )


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _dir_option(directory: Path) -> str:
    return "" if directory == Path(".isthmus-lab").absolute() else f" --dir {shlex.quote(str(directory))}"
