"""What pods get from the cluster: environment and volumes, also when it comes late or changes."""

from federation.kube.resources import CONFIG_MAPS, EVENTS, SECRETS
from lab.waiting import until_object
from tests.lab.kubelet.site import Cluster, Manifest, pod


async def put(site: Cluster, place: str, name: str, **data: str) -> None:
    """A ConfigMap and a Secret of that name, both with `data`."""
    metadata = {"name": name}
    await site.api.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, place
    )
    await site.api.create(
        SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}, place
    )


async def test_environment_comes_from_everywhere(site: Cluster, place: str) -> None:
    await put(site, place, "source", plain="p", secret="s")
    environment = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)b $(NONE) $$(A)"},
        {"name": "PLAIN", "valueFrom": {"configMapKeyRef": {"name": "source", "key": "plain"}}},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "source", "key": "secret"}}},
        {"name": "NOT", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
    ]
    script = 'echo "$B|$PLAIN|$SECRET|${NOT-unset}|$NODE|$LABEL|$CPU|$from_plain|$0 $1"'
    container = {
        "env": environment,
        "envFrom": [{"prefix": "from_", "configMapRef": {"name": "source"}}],
        "resources": {"requests": {"cpu": "10m"}},
        "args": ["$(A)-name", "$(A)-one"],
    }
    await site.run(pod("env", "sh", "-c", script, container=container, metadata={"labels": {"team": "t1"}}), place)
    await site.until_phase("env", place, "Succeeded")
    assert await site.logs("env", place) == "ab $(NONE) $(A)|p|s|unset|here|t1|10|p|a-name a-one\n"


async def test_volumes_have_what_they_say(site: Cluster, place: str) -> None:
    await put(site, place, "source", one="1", two="2")
    volumes = [
        {"name": "all", "configMap": {"name": "source"}},
        {
            "name": "some",
            "secret": {"secretName": "source", "items": [{"key": "two", "path": "deep/2", "mode": 0o400}]},
        },
        {"name": "none", "configMap": {"name": "none", "optional": True}},
        {"name": "facts", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {
            "name": "mixed",
            "projected": {"sources": [{"secret": {"name": "source"}}, {"configMap": {"name": "source"}}]},
        },
        {"name": "empty", "emptyDir": {}},
        {"name": "host", "hostPath": {"path": "/usr/share"}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/in/{volume['name']}"} for volume in volumes]
    mounts.append({"name": "all", "mountPath": "/etc/tool/one.conf", "subPath": "one"})
    mounts.append({"name": "empty", "mountPath": "/usr/share/part", "subPath": "part"})
    script = """
      cd /in; cat all/one all/two; stat -L -c %a some/deep/2; cat some/deep/2; ls none | wc -l; cat facts/name; echo
      ls mixed | tr '\\n' ' '; cat /etc/tool/one.conf; echo; touch /usr/share/part/new; ls empty/part
      touch all/x 2>/dev/null || echo read-only; touch host/x 2>/dev/null || echo read-only
      cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo
      test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token
    """
    container = {"volumeMounts": mounts}
    await site.run(pod("volumes", "sh", "-c", script, container=container, volumes=volumes), place)
    await site.until_phase("volumes", place, "Succeeded")
    lines = (await site.logs("volumes", place)).splitlines()
    expected = ["12400", "20", "volumes", "one two 1", "new", "read-only", "read-only", place, "token"]
    assert lines == expected


async def test_a_missing_config_map_holds_the_container_until_it_is_there(site: Cluster, place: str) -> None:
    container = {"envFrom": [{"configMapRef": {"name": "late"}}]}
    await site.run(pod("early", "sh", "-c", "echo $key", container=container), place)

    def is_waiting(found: Manifest | None) -> bool:
        entries = (found or {}).get("status", {}).get("containerStatuses") or [{}]
        waiting = entries[0].get("state", {}).get("waiting", {})
        return (waiting.get("reason"), waiting.get("message")) == (
            "CreateContainerConfigError",
            'configmap "late" not found',
        )

    await site.until("early", place, is_waiting)
    await put(site, place, "late", key="value")
    await site.until_phase("early", place, "Succeeded")
    assert await site.logs("early", place) == "value\n"


async def test_a_missing_secret_volume_holds_the_pod_and_is_told(site: Cluster, place: str) -> None:
    volumes = [{"name": "v", "secret": {"secretName": "late"}}]
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    await site.run(pod("mounting", "cat", "/v/key", volumes=volumes, container=container), place)
    await until_object(
        site.api,
        EVENTS,
        lambda event: bool(event["reason"] == "FailedMount"),
        namespace=place,
        what="an event about the missing Secret",
        seconds=10,
    )
    await put(site, place, "late", key="value")
    await site.until_phase("mounting", place, "Succeeded")
    assert await site.logs("mounting", place) == "value"


async def test_a_volume_follows_its_config_map(site: Cluster, place: str) -> None:
    await put(site, place, "moving", key="old")
    volumes = [{"name": "v", "configMap": {"name": "moving"}}]
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    script = "while ! grep -q new /v/key; do sleep 0.1; done; echo seen"
    await site.run(pod("following", "sh", "-c", script, volumes=volumes, container=container), place)
    await site.until_phase("following", place, "Running")
    await site.api.patch(CONFIG_MAPS, "moving", {"data": {"key": "new"}}, place)
    await site.until_phase("following", place, "Succeeded")
    assert await site.logs("following", place) == "seen\n"


async def test_a_container_does_not_see_the_labs_directory(site: Cluster, place: str) -> None:
    script = f"ls -A {site.root} 2>/dev/null | wc -l; ls -A /etc/shadow 2>/dev/null | wc -l; ls -A /tmp | wc -l"
    await site.run(pod("blind", "sh", "-c", script), place)
    await site.until_phase("blind", place, "Succeeded")
    assert (await site.logs("blind", place)).split() == ["0", "0", "0"]
    await site.run(
        pod(
            "spy",
            "true",
            volumes=[{"name": "lab", "hostPath": {"path": str(site.root.parent)}}],
            container={"volumeMounts": [{"name": "lab", "mountPath": "/lab"}]},
        ),
        place,
    )

    def is_refused(found: Manifest | None) -> bool:
        entries = (found or {}).get("status", {}).get("containerStatuses") or [{}]
        return "may not see" in str(entries[0].get("state", {}).get("waiting", {}).get("message"))

    await site.until("spy", place, is_refused)
