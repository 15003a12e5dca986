"""The images that jobs need, in containers: a runner, and buildah (the machine's own, or else the stand-in)."""

from tests.lab.kubelet.site import Cluster, phase_of, pod

BUILD = """
set -e
cd /tmp
echo hello > file
printf 'FROM scratch\\nCOPY file /file\\nCMD ["/file"]\\n' > Containerfile
buildah build --platform linux/arm64 -t localhost/lab:arm64 .
buildah manifest create localhost/lab:all
buildah manifest add localhost/lab:all containers-storage:localhost/lab:arm64
buildah manifest inspect localhost/lab:all | grep -o '"arm64"'
"""


async def test_the_runners_image_has_a_runner_also_in_a_login_shell(site: Cluster, place: str) -> None:
    script = "gitlab-runner --version; env | grep -c -i python; git --version; test -w /home && echo writable"
    manifest = pod("runner", "bash", "--login", "-c", script, image="gitlab/gitlab-runner:alpine-v18.0.0")
    await site.run(manifest, place)
    await site.until_phase("runner", place, "Succeeded")
    lines = (await site.logs("runner", place)).splitlines()
    assert lines[0].startswith("Version:")
    assert "0" in lines  # nothing of our interpreter's settings reaches a job
    assert lines[-1] == "writable"


async def test_images_are_built_in_a_container_and_leave_nothing(site: Cluster, place: str) -> None:
    await site.run(pod("builder", "sh", "-c", BUILD, image="quay.io/buildah/stable"), place)
    done = await site.until(
        "builder", place, lambda found: found is not None and phase_of(found) in ("Succeeded", "Failed"), seconds=60
    )
    assert done is not None
    log = await site.logs("builder", place)
    assert phase_of(done) == "Succeeded", log
    assert log.splitlines()[-1] == '"arm64"'


async def test_pause_waits(site: Cluster, place: str) -> None:
    await site.run(pod("pause", image="registry.k8s.io/pause:3.10"), place)
    await site.until_phase("pause", place, "Running")
