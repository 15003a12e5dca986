"""The distribution protocol, request by request, as its specification writes it."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from tests.lab.registry.running import RunningRegistry

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
APP = "/v2/group/app"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="session")
def token(registry: RunningRegistry) -> str:
    return registry.token(("group/app", "pull,push"), ("group/other", "pull,push"), ("group/lists", "pull,push"))


def push_blob(registry: RunningRegistry, token: str, content: bytes, base: str = APP) -> str:
    digest = digest_of(content)
    answer = registry.request("POST", f"{base}/blobs/uploads/?digest={digest}", token, content)
    assert answer.status == 201, answer.body
    return digest


def manifest_of(registry: RunningRegistry, token: str, content: bytes, base: str = APP, **more: Any) -> bytes:
    config, layer = (push_blob(registry, token, part, base) for part in (b"{}", content))
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": layer,
                    "size": len(content),
                }
            ],
            **more,
        }
    ).encode()


def put_manifest(
    registry: RunningRegistry, token: str, body: bytes, reference: str, kind: str = OCI, base: str = APP
) -> Any:
    return registry.request("PUT", f"{base}/manifests/{reference}", token, body, {"Content-Type": kind})


class TestDoor:
    def test_a_stranger_is_told_where_to_get_which_token(self, registry: RunningRegistry) -> None:
        realm = re.escape(registry.issuer.url)
        for method, path, scope in [
            ("GET", "/v2/", ""),
            ("GET", "/v2/_catalog", ',scope="registry:catalog:\\*"'),
            ("HEAD", f"{APP}/manifests/latest", ',scope="repository:group/app:pull"'),
            ("POST", f"{APP}/blobs/uploads/", ',scope="repository:group/app:pull,push"'),
            ("DELETE", f"{APP}/manifests/latest", ',scope="repository:group/app:pull,push"'),
            (
                "POST",
                f"{APP}/blobs/uploads/?mount={digest_of(b'')}&from=group/other",
                ',scope="repository:group/app:pull,push repository:group/other:pull"',
            ),
        ]:
            answer = registry.request(method, path)
            assert answer.status == 401
            assert re.fullmatch(
                f'Bearer realm="{realm}",service="container_registry"{scope}', answer.headers["Www-Authenticate"]
            )
            assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
            if method != "HEAD":
                assert answer.code == "UNAUTHORIZED"

    def test_a_token_opens_what_it_names_and_nothing_else(self, registry: RunningRegistry) -> None:
        reader = registry.token(("group/app", "pull"))

        assert registry.request("GET", "/v2/", reader).status == 200
        assert registry.request("GET", f"{APP}/blobs/{digest_of(b'absent')}", reader).status == 404
        assert registry.request("POST", f"{APP}/blobs/uploads/", reader).status == 401
        assert registry.request("GET", f"/v2/group/other/blobs/{digest_of(b'absent')}", reader).status == 401
        assert registry.request("GET", "/v2/_catalog", reader).status == 401

    def test_an_expired_token_is_told_why(self, registry: RunningRegistry) -> None:
        answer = registry.request("GET", "/v2/", registry.token(exp=1))

        assert answer.status == 401
        assert "expired" in answer.json["errors"][0]["message"]

    def test_a_fixed_user_may_do_everything(self, registry: RunningRegistry) -> None:
        def basic(text: str) -> dict[str, str]:
            return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

        assert registry.request("GET", "/v2/_catalog", headers=basic("fixed:fixed-password")).status == 200
        assert registry.request("GET", "/v2/_catalog", headers=basic("fixed:wrong")).status == 401
        assert registry.request("GET", "/v2/_catalog", headers={"Authorization": "Basic %%%"}).status == 401

    @pytest.mark.parametrize("name", ["Group/app", "a/../b", "a//b", "_blobs/x", "a%22b", "x" * 256])
    def test_a_name_outside_the_grammar_reaches_nothing(self, registry: RunningRegistry, name: str) -> None:
        answer = registry.request("GET", f"/v2/{name}/tags/list", registry.token((name, "pull")))

        assert answer.status in (400, 404)


class TestUploads:
    def test_in_one_post(self, registry: RunningRegistry, token: str) -> None:
        content = b"one post"
        answer = registry.request("POST", f"{APP}/blobs/uploads/?digest={digest_of(content)}", token, content)

        assert answer.status == 201
        assert answer.headers["Location"] == f"{APP}/blobs/{digest_of(content)}"
        assert registry.request("GET", answer.headers["Location"], token).body == content

    def test_post_then_put(self, registry: RunningRegistry, token: str) -> None:
        content = b"post then put"
        started = registry.request("POST", f"{APP}/blobs/uploads/", token)
        assert (started.status, started.headers["Range"]) == (202, "0-0")

        done = registry.request("PUT", f"{started.headers['Location']}?digest={digest_of(content)}", token, content)

        assert (done.status, done.headers["Docker-Content-Digest"]) == (201, digest_of(content))

    def test_in_chunks_and_resumed_where_it_stopped(self, registry: RunningRegistry, token: str) -> None:
        first, second = b"a" * 100_000, b"b" * 50_000
        location = registry.request("POST", f"{APP}/blobs/uploads/", token).headers["Location"]

        patched = registry.request("PATCH", location, token, first, {"Content-Range": "0-99999"})
        assert (patched.status, patched.headers["Range"]) == (202, "0-99999")
        wrong = registry.request("PATCH", location, token, second, {"Content-Range": "99999-149998"})
        assert (wrong.status, wrong.headers["Range"]) == (416, "0-99999")
        state = registry.request("GET", location, token)
        assert (state.status, state.headers["Range"]) == (204, "0-99999")
        streamed = registry.request("PATCH", location, token, iter([second[:1], second[1:]]))
        assert streamed.headers["Range"] == "0-149999"
        done = registry.request("PUT", f"{location}?digest={digest_of(first + second)}", token)
        assert done.status == 201
        assert registry.request("GET", location, token).code == "BLOB_UPLOAD_UNKNOWN"

    def test_a_wrong_digest_keeps_nothing(self, registry: RunningRegistry, token: str) -> None:
        claimed = digest_of(b"something else")
        answer = registry.request("POST", f"{APP}/blobs/uploads/?digest={claimed}", token, b"content")

        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        assert registry.request("HEAD", f"{APP}/blobs/{claimed}", token).status == 404

    def test_cancelled_or_of_another_repository_is_unknown(self, registry: RunningRegistry, token: str) -> None:
        location = registry.request("POST", f"{APP}/blobs/uploads/", token).headers["Location"]

        elsewhere = location.replace("group/app", "group/other")
        assert registry.request("GET", elsewhere, token).code == "BLOB_UPLOAD_UNKNOWN"
        assert registry.request("DELETE", location, token).status == 204
        assert registry.request("PATCH", location, token, b"late").code == "BLOB_UPLOAD_UNKNOWN"

    def test_mount_takes_a_blob_over_only_if_the_token_may_read_it(self, registry: RunningRegistry, token: str) -> None:
        digest = push_blob(registry, token, b"mounted", "/v2/group/other")
        path = f"{APP}/blobs/uploads/?mount={digest}&from=group/other"

        narrow = registry.token(("group/app", "pull,push"))
        assert registry.request("POST", path, narrow).status == 202
        assert registry.request("HEAD", f"{APP}/blobs/{digest}", token).status == 404
        assert registry.request("POST", path, token).status == 201
        assert registry.request("GET", f"{APP}/blobs/{digest}", token).body == b"mounted"
        absent = f"{APP}/blobs/uploads/?mount={digest_of(b'no')}&from=group/other"
        assert registry.request("POST", absent, token).status == 202


class TestBlobs:
    def test_head_get_and_range(self, registry: RunningRegistry, token: str) -> None:
        digest = push_blob(registry, token, b"0123456789")

        head = registry.request("HEAD", f"{APP}/blobs/{digest}", token)
        assert (head.status, head.headers["Content-Length"], head.body) == (200, "10", b"")
        assert head.headers["Docker-Content-Digest"] == digest
        part = registry.request("GET", f"{APP}/blobs/{digest}", token, headers={"Range": "bytes=2-4"})
        assert (part.status, part.headers["Content-Range"], part.body) == (206, "bytes 2-4/10", b"234")
        past = registry.request("GET", f"{APP}/blobs/{digest}", token, headers={"Range": "bytes=20-"})
        assert past.status == 416

    def test_a_repository_does_not_serve_anothers_blobs(self, registry: RunningRegistry, token: str) -> None:
        digest = push_blob(registry, token, b"only in other", "/v2/group/other")

        assert registry.request("GET", f"{APP}/blobs/{digest}", token).code == "BLOB_UNKNOWN"

    def test_delete(self, registry: RunningRegistry, token: str) -> None:
        digest = push_blob(registry, token, b"to be deleted")

        assert registry.request("DELETE", f"{APP}/blobs/{digest}", token).status == 202
        assert registry.request("HEAD", f"{APP}/blobs/{digest}", token).status == 404
        assert registry.request("DELETE", f"{APP}/blobs/{digest}", token).code == "BLOB_UNKNOWN"

    def test_a_digest_must_be_sha256(self, registry: RunningRegistry, token: str) -> None:
        assert registry.request("GET", f"{APP}/blobs/md5:abc", token).code == "DIGEST_INVALID"


class TestManifests:
    def test_by_tag_and_by_digest_byte_for_byte(self, registry: RunningRegistry, token: str) -> None:
        body = manifest_of(registry, token, b"layer")
        put = put_manifest(registry, token, body, "v1")

        assert (put.status, put.headers["Docker-Content-Digest"]) == (201, digest_of(body))
        for reference in ("v1", digest_of(body)):
            answer = registry.request("GET", f"{APP}/manifests/{reference}", token, headers={"Accept": OCI})
            assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, OCI, body)
            assert registry.request("HEAD", f"{APP}/manifests/{reference}", token).headers["Content-Length"] == str(
                len(body)
            )

    def test_accept_must_cover_the_type(self, registry: RunningRegistry, token: str) -> None:
        put_manifest(registry, token, manifest_of(registry, token, b"accept"), "accept")

        def status(accept: str) -> int:
            return registry.request("GET", f"{APP}/manifests/accept", token, headers={"Accept": accept}).status

        assert status(f"{DOCKER}, {OCI};q=0.5") == 200
        assert status("*/*") == 200
        assert status(DOCKER) == 404

    def test_what_it_refers_to_must_be_there(self, registry: RunningRegistry, token: str) -> None:
        body = manifest_of(registry, token, b"present").replace(digest_of(b"present").encode(), b"sha256:" + b"0" * 64)
        answer = put_manifest(registry, token, body, "broken")

        assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"digest": "sha256:" + "1" * 64}]}
        assert put_manifest(registry, token, json.dumps(index).encode(), "i", INDEX).code == "MANIFEST_BLOB_UNKNOWN"

    def test_a_foreign_layer_need_not_be_there(self, registry: RunningRegistry, token: str) -> None:
        config = push_blob(registry, token, b"{}")
        layer = {
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": "sha256:" + "2" * 64,
            "urls": ["https://example.com/layer"],
        }
        body = json.dumps({"schemaVersion": 2, "mediaType": DOCKER, "config": {"digest": config}, "layers": [layer]})

        assert put_manifest(registry, token, body.encode(), "foreign", DOCKER).status == 201

    @pytest.mark.parametrize(
        ("body", "kind", "reference", "code"),
        [
            (b"{", OCI, "t", "MANIFEST_INVALID"),
            (b"[]", OCI, "t", "MANIFEST_INVALID"),
            (b'{"schemaVersion": 1}', OCI, "t", "MANIFEST_INVALID"),
            (b'{"schemaVersion": 2, "mediaType": "%s"}' % DOCKER.encode(), OCI, "t", "MANIFEST_INVALID"),
            (b'{"schemaVersion": 2}', "text/plain", "t", "MANIFEST_INVALID"),
            (b'{"schemaVersion": 2, "layers": []}', OCI, "t", "MANIFEST_INVALID"),
            (b'{"schemaVersion": 2, "manifests": [{"digest": "x"}]}', INDEX, "t", "DIGEST_INVALID"),
            (b'{"schemaVersion": 2, "manifests": []}', INDEX, "-bad", "TAG_INVALID"),
            (b'{"schemaVersion": 2, "manifests": []}', INDEX, "sha256:" + "3" * 64, "DIGEST_INVALID"),
        ],
    )
    def test_nonsense_is_refused(
        self, registry: RunningRegistry, token: str, body: bytes, kind: str, reference: str, code: str
    ) -> None:
        answer = put_manifest(registry, token, body, reference, kind)

        assert (answer.status, answer.code) == (400, code)

    def test_delete_a_tag_and_a_digest(self, registry: RunningRegistry, token: str) -> None:
        body = manifest_of(registry, token, b"deleted")
        for tag in ("gone", "gone-too"):
            put_manifest(registry, token, body, tag)

        assert registry.request("DELETE", f"{APP}/manifests/gone", token).status == 202
        assert registry.request("GET", f"{APP}/manifests/gone", token).code == "MANIFEST_UNKNOWN"
        assert registry.request("GET", f"{APP}/manifests/gone-too", token).status == 200
        assert registry.request("DELETE", f"{APP}/manifests/{digest_of(body)}", token).status == 202
        assert registry.request("GET", f"{APP}/manifests/gone-too", token).code == "MANIFEST_UNKNOWN"

    def test_referrers(self, registry: RunningRegistry, token: str) -> None:
        subject = digest_of(b"any manifest")
        referrer = manifest_of(
            registry, token, b"signature", subject={"digest": subject}, artifactType="application/x-signature"
        )
        put = put_manifest(registry, token, referrer, digest_of(referrer))

        assert put.headers["OCI-Subject"] == subject
        listed = registry.request("GET", f"{APP}/referrers/{subject}", token)
        assert listed.headers["Content-Type"].startswith(INDEX)
        assert [one["digest"] for one in listed.json["manifests"]] == [digest_of(referrer)]
        other = registry.request("GET", f"{APP}/referrers/{subject}?artifactType=x", token)
        assert (other.json["manifests"], other.headers["OCI-Filters-Applied"]) == ([], "artifactType")


class TestLists:
    def test_tags_page_by_page(self, registry: RunningRegistry, token: str) -> None:
        base = "/v2/group/lists"
        for tag in ("c", "a", "b"):
            put_manifest(registry, token, b'{"schemaVersion": 2, "manifests": []}', tag, INDEX, base)

        first = registry.request("GET", f"{base}/tags/list?n=2", token)
        assert first.json == {"name": "group/lists", "tags": ["a", "b"]}
        link = first.headers["Link"]
        assert link == f'<{base}/tags/list?n=2&last=b>; rel="next"'
        rest = registry.request("GET", link[1 : link.index(">")], token)
        assert (rest.json["tags"], rest.headers["Link"]) == (["c"], None)
        assert registry.request("GET", f"{base}/tags/list?n=x", token).code == "PAGINATION_NUMBER_INVALID"
        assert registry.request("GET", f"{base}/tags/list?n=0", token).json["tags"] == []

    def test_an_unknown_repository_has_no_tags(self, registry: RunningRegistry) -> None:
        answer = registry.request("GET", "/v2/no/such/tags/list", registry.token(("no/such", "pull")))

        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")

    def test_catalog(self, registry: RunningRegistry, token: str) -> None:
        put_manifest(registry, token, b'{"schemaVersion": 2, "manifests": []}', "t", INDEX, "/v2/group/lists")
        access = [{"type": "registry", "name": "catalog", "actions": ["*"]}]

        listed = registry.request("GET", "/v2/_catalog", registry.token(access=access)).json["repositories"]

        assert "group/lists" in listed
        assert listed == sorted(listed)
