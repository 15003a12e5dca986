"""What to try in a lab that `--keep` has left running. Pure text."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lab.directory import LabRecord


def next_steps(record: LabRecord, directory: Path, checkout: Path, example: Path, pipeline_url: str) -> str:
    """Return the text; every command in it can be pasted as it is."""
    home = record.clusters[0]
    gitlab, registry = record.services["gitlab"], record.services["registry"]
    host = urlsplit(registry["url"]).netloc
    lines = [
        "",
        "The lab goes on running. Its clusters:",
        *(f"  export KUBECONFIG={shlex.quote(cluster.kubeconfig)}  # {cluster.name}" for cluster in record.clusters),
        "",
        f"GitLab    {gitlab['url']}  (user root, token {gitlab['token']})",
        f"pipeline  {pipeline_url}",
        f"registry  {registry['url']}  (the same user and token; authority {registry['ca_file']})",
        "",
        "Try:",
        f"  export KUBECONFIG={shlex.quote(home.kubeconfig)}",
        "  kubectl get nodes,pods -o wide      # virtual nodes, and runner pods with their delegates' status",
        f"  kubectl logs -l {_RUNNERS} --prefix  # from the other clusters",
        *_example(example),
        f"  cd {shlex.quote(str(checkout))} && git commit --allow-empty -m again && git push",
        f"  SSL_CERT_FILE={shlex.quote(registry['ca_file'])} skopeo list-tags \\",
        f"    --creds root:{gitlab['token']} docker://{host}/root/multi-arch-image",
        "",
        f"End it:  isthmus lab down{_dir_option(directory)}",
    ]
    return "\n".join(lines)


_RUNNERS = "app.kubernetes.io/managed-by=isthmus-bridge"


def _example(example: Path) -> Sequence[str]:
    job = example.parent / "02-annotated-pod" / "job.yaml"
    if not job.is_file():
        return ()
    return (
        f"  kubectl apply -f {shlex.quote(_short(job))}",
        "  kubectl logs -f job/where-am-i      # a plain Job with one annotation, in another cluster",
    )


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _dir_option(directory: Path) -> str:
    return "" if directory == Path(".isthmus-lab").absolute() else f" --dir {shlex.quote(str(directory))}"
