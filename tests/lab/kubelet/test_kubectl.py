"""Stock kubectl against pods on process kubelets: what a person types."""

from pathlib import Path

import pytest

from lab.engines.engine import kube_directory
from tests.lab.kubelet.site import Cluster, pod

pytestmark = pytest.mark.skipif(
    not (kube_directory() / "kubectl").is_file(), reason="kubectl is not here (make kube builds it)"
)


async def test_exec_cp_logs_attach(site: Cluster, place: str, tmp_path: Path) -> None:
    await site.run(pod("shell", "sh", "-c", "echo up; sleep 600"), place)
    await site.until_phase("shell", place, "Running")
    code, out, err = await site.kubectl("exec", "-i", "-n", place, "shell", "--", "cat", input_=b"through\n")
    assert (code, out) == (0, "through\n"), err
    code, _, err = await site.kubectl("exec", "-n", place, "shell", "--", "sh", "-c", "exit 9")
    assert code == 9
    code, _, err = await site.kubectl("exec", "-n", place, "shell", "--", "no-such-program")
    assert (code, "executable file not found" in err) == (1, True)
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(bytes(range(256)) * 4000)
    # Where the kubelet is an ordinary user its containers have one user id: no owner can be preserved.
    assert (await site.kubectl("cp", "--no-preserve", str(sent), f"{place}/shell:/tmp/file"))[0] == 0
    assert (await site.kubectl("cp", f"{place}/shell:/tmp/file", str(back)))[0] == 0
    assert back.read_bytes() == sent.read_bytes()
    assert (await site.kubectl("logs", "-n", place, "shell"))[1] == "up\n"
    code, out, _ = await site.kubectl("get", "pod", "-n", place, "shell", "-o", "wide")
    assert "1/1" in out
    assert "Running" in out
    assert (await site.kubectl("delete", "pod", "-n", place, "shell"))[0] == 0
