"""T1, T7: whatever a server answers, reading it ends in a value or in an error that says what was wrong."""

import asyncio
import resource
from collections.abc import Callable

import orjson
import pytest

from federation.kube.answers import is_deeper
from federation.kube.api import Api, connect
from federation.kube.dialling import Dialable
from federation.kube.errors import ApiError, BadAnswer, BadKubeconfig, Forbidden, ServerError, StatusError, Unreachable
from federation.kube.limits import Limits
from federation.kube.resources import CONFIG_MAPS, PODS
from federation.kube.streaming import open_connection
from tests.kube.hostile import Chunks, chunked, endless, page, stranger, thing, whole, zipped

SMALL = Limits(
    request_timeout_seconds=2.0,
    silence_seconds_max=1.0,
    body_bytes_max=64 * 1024,
    line_bytes_max=64 * 1024,
    parts_max=2_000,
    depth_max=64,
    objects_max=50,
    list_seconds_max=2.0,
    page_size=10,
)
MEBIBYTE = b" " * 1024 * 1024


async def failing(answer: Callable[[str], Chunks], kind: type[ApiError], *, is_list: bool = False) -> str:
    """Return the message with which a read of this server's answers fails."""
    async with stranger(answer) as server, await server.api(SMALL) as api:
        with pytest.raises(kind) as failed:
            await (api.list(CONFIG_MAPS, "ns") if is_list else api.get(CONFIG_MAPS, "a", "ns"))
        assert server.sent < 20 * 1024 * 1024, "reading stops soon after the bound"
        return str(failed.value)


BAD_OBJECTS: dict[str, tuple[Callable[[str], Chunks], str]] = {
    "no JSON": (lambda _: whole(b"<html>internal page</html>"), "no JSON"),
    "no object": (lambda _: whole(b"[1]"), "no JSON object"),
    "nothing": (lambda _: whole(b""), "no JSON"),
    "deep": (lambda _: whole(b'{"a":' * 200 + b"1" + b"}" * 200), "more than 64 deep"),
    "very deep": (lambda _: whole(b"[" * 1500 + b"]" * 1500), "no JSON"),
    "parts": (lambda _: whole(b'{"a":[' + b"{}," * 5000 + b"{}]}"), "more than 2000 objects"),
    "large": (lambda _: whole(MEBIBYTE), "more than 65536 bytes"),
    "endless": (lambda _: chunked(endless(MEBIBYTE)), "more than 65536 bytes"),
    "zipped": (lambda _: zipped(MEBIBYTE, times=2), "encoding"),
    "no metadata": (lambda _: whole(b'{"kind":"ConfigMap"}'), "metadata is no mapping"),
    "metadata is a list": (lambda _: whole(b'{"metadata":[]}'), "metadata is no mapping"),
    "name is a number": (lambda _: whole(b'{"metadata":{"name":7}}'), "metadata.name"),
    "labels are texts": (lambda _: whole(orjson.dumps({"metadata": {"name": "a", "labels": "x"}})), "metadata.labels"),
    "annotation of a number": (
        lambda _: whole(orjson.dumps({"metadata": {"name": "a", "annotations": {"x": 1}}})),
        "metadata.annotations",
    ),
    "finalizers of numbers": (
        lambda _: whole(orjson.dumps({"metadata": {"name": "a", "finalizers": [1]}})),
        "metadata.finalizers",
    ),
    "another object": (lambda _: whole(orjson.dumps(thing("b"))), "another object"),
    "of another namespace": (
        lambda _: whole(orjson.dumps({"metadata": {"name": "a", "namespace": "kube-system"}})),
        "another object",
    ),
    "redirect": (lambda _: whole(b"", "302 Found", Location="http://169.254.169.254/latest"), "redirects"),
    "permanent redirect": (lambda _: whole(b"", "308 Permanent Redirect", Location="/other"), "redirects"),
    "not modified": (lambda _: [b"HTTP/1.1 304 Not Modified\r\n\r\n"], "redirects"),
}


@pytest.mark.parametrize("name", BAD_OBJECTS)
async def test_t1_a_bad_answer_is_named_and_nothing_of_it_is_quoted(name: str) -> None:
    answer, message = BAD_OBJECTS[name]
    told = await failing(answer, BadAnswer)
    assert message in told
    assert "internal page" not in told
    assert "169.254" not in told


async def read_stream(api: Api) -> None:
    async with api.stream("/x", silence_seconds_max=1.0) as response:
        async for _ in response.lines():
            pass


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("slow body", lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"{", None]),
        ("slow head", lambda _: [b"HTTP/1.1 200 OK\r\nContent-", None]),
        ("no end of heads", lambda _: endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
        ("a long header", lambda _: [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, None]),
        ("many headers", lambda _: [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, None]),
        ("no HTTP", lambda _: [b"220 mail.example.org ESMTP\r\n"]),
        ("cut off", lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"]),
    ],
)
async def test_t1_t9_no_answer_is_unreachable_and_not_quoted(name: str, answer: Callable[[str], Chunks]) -> None:
    async with stranger(answer) as server, await server.api(SMALL) as api:
        for reading in (api.look(CONFIG_MAPS, "a", "ns", timeout_seconds=1.0), read_stream(api)):
            with pytest.raises(Unreachable) as failed:
                await asyncio.wait_for(reading, 10)
            assert "secret-token" not in str(failed.value), "T9: nor what was sent to it"
            assert "mail.example.org" not in str(failed.value), "nor what it sent"


async def test_t7_a_redirect_is_not_followed() -> None:
    """Not even on the same server: our token would go where it says."""
    async with stranger(lambda _: whole(b"{}", "301 Moved Permanently", Location="/secret")) as server:
        async with await server.api(SMALL) as api:
            for write in (api.get(CONFIG_MAPS, "a", "ns"), api.delete(CONFIG_MAPS, "a", "ns")):
                with pytest.raises(BadAnswer, match="redirects"):
                    await write
        assert not [line for line in server.asked if "secret" in line]


async def test_t7_cookies_are_not_kept() -> None:
    async with stranger(lambda _: whole(orjson.dumps(thing()), Set_Cookie="a=b; Path=/")) as server:
        async with await server.api() as api:
            for _ in range(2):
                await api.get(CONFIG_MAPS, "a", "ns")
        assert not [head for head in server.heads if "cookie" in head.lower()]


ERRORS: list[tuple[bytes, str]] = [
    (b"<html>secret of an internal page</html>", "an answer that is no Status (39 bytes)"),
    (b'{"message":"secret of an internal page"}', "an answer that is no Status (40 bytes)"),
    (b'{"kind":"Status","message":"no\\r\\nforged\\u001b[31m\\u202e"}', "no  forged [31m "),
    (b'{"kind":"Status","message":["secret"],"reason":{"secret":1}}', "no message"),
    (b"x" * 200_000, "an answer that is no Status (0 bytes)"),
    (b'{"kind":"Status"}' + b" " * 200_000, "an answer that is no Status (0 bytes)"),
]


@pytest.mark.parametrize(("body", "message"), ERRORS)
async def test_t7_only_a_status_is_quoted(body: bytes, message: str) -> None:
    told = await failing(lambda _: whole(body, "403 Forbidden"), Forbidden)
    assert message in told
    assert "secret" not in told


async def test_t1_of_a_status_only_so_much_is_kept() -> None:
    details = {"name": ["x"], "kind": "k" * 5000, "causes": [{"message": "m" * 9999}] * 500, "other": "o" * 9999}
    status = {"kind": "Status", "message": "m" * 40_000, "reason": "r" * 9999, "details": details}
    async with stranger(lambda _: whole(orjson.dumps(status)[:], "403 Forbidden")) as server:
        limits = Limits(failure_bytes_max=10**7)
        async with await server.api(limits) as api:
            with pytest.raises(StatusError) as failed:
                await api.get(CONFIG_MAPS, "a", "ns")
    error = failed.value
    assert len(error.message) == 4096
    assert len(error.reason) <= 253
    assert len(orjson.dumps(error.details)) < 20_000
    assert error.details["name"] == ""


def pages(make: Callable[[int], bytes]) -> Callable[[str], Chunks]:
    """Return a server of lists whose n-th page is `make(n)`, without end."""
    count = 0

    def answer(_: str) -> Chunks:
        nonlocal count
        count += 1
        return whole(make(count))

    return answer


BAD_LISTS: dict[str, tuple[Callable[[int], bytes], str]] = {
    "no items": (lambda _: b'{"metadata":{"resourceVersion":"1"},"items":{}}', "items or metadata"),
    "metadata is a text": (lambda _: b'{"metadata":"x","items":[]}', "items or metadata"),
    "no version": (lambda _: page(version=None), "resourceVersion"),
    "version is a number": (lambda _: page(version=7), "resourceVersion"),
    "continue is a number": (lambda _: page(following=7), "continue"),
    "empty pages for ever": (lambda number: page(following=f"token-{number}"), "empty page"),
    "the same token for ever": (lambda _: page(thing(), following="token"), "more to come"),
    "objects for ever": (
        lambda number: page(*(thing(f"a-{number}-{one}") for one in range(10)), following=f"token-{number}"),
        "more than 50 configmaps",
    ),
}


@pytest.mark.parametrize("name", BAD_LISTS)
async def test_t1_a_list_ends(name: str) -> None:
    make, message = BAD_LISTS[name]
    assert message in await failing(pages(make), BadAnswer, is_list=True)


async def test_t1_a_list_that_takes_too_long_ends() -> None:
    def slowly(number: int) -> Chunks:
        body = page(thing(f"a-{number}"), following=f"token-{number}")
        yield f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for byte in body:
            yield bytes([byte])

    count = 0

    def answer(_: str) -> Chunks:
        nonlocal count
        count += 1
        return slowly(count)

    limits = Limits(objects_max=10**6, list_seconds_max=0.2)
    async with stranger(answer) as server, await server.api(limits) as api:
        with pytest.raises(BadAnswer, match="not complete in 0 s"):
            await api.list(CONFIG_MAPS, "ns")


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    """Objects near etcd's limit are read one by one; nothing is wrong with such a target."""
    large = [thing(f"a-{number}", data={"k": "v" * 30_000}) for number in range(6)]

    def answer(line: str) -> Chunks:
        query = dict(part.partition("=")[::2] for part in line.split()[1].partition("?")[2].split("&"))
        start = int(query.get("continue") or 0)
        end = start + int(query["limit"])
        return whole(page(*large[start:end], following=str(end) if end < len(large) else ""))

    async with stranger(answer) as server, await server.api(SMALL) as api:
        assert len((await api.list(CONFIG_MAPS, "ns")).items) == 6


async def test_t1_a_bomb_costs_no_memory() -> None:
    """A little gzip that is 128 MiB; and a body of nothing but brackets."""
    bomb = zipped(MEBIBYTE, times=128)
    async with stranger(lambda _: bomb) as server, await server.api() as api:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(BadAnswer):
            await api.get(CONFIG_MAPS, "a", "ns")
    body = b"[" + b"[],[]," * 600_000 + b"[]]"
    async with stranger(lambda _: whole(body)) as server, await server.api() as api:
        with pytest.raises(BadAnswer):
            await api.get(CONFIG_MAPS, "a", "ns")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024, "in KiB"


@pytest.mark.parametrize(
    ("body", "is_too_deep"),
    [
        (b'{"a":1}', False),
        (b"[" * 64 + b"]" * 64, False),
        (b"[" * 65 + b"]" * 65, True),
        (b'{"a":' * 65 + b"[]" + b"}" * 65, True),
        (orjson.dumps({"a": "[" * 500 + '"' + "{" * 500}), False),
        (orjson.dumps({"a": "]}" * 500 + "\\"}), False),
        (orjson.dumps([{"a": '\\"['}] * 100), False),
    ],
)
def test_depth_is_of_the_value_and_not_of_what_texts_hold(body: bytes, is_too_deep: bool) -> None:
    assert is_deeper(body, 64) is is_too_deep


REFUSED = [
    "https://127.0.0.1:6443",
    "https://127.1.2.3",
    "https://[::1]:6443",
    "https://[::ffff:127.0.0.1]",
    "https://[64:ff9b::7f00:1]",
    "https://[2002:7f00:1::]",
    "https://[::127.0.0.1]",
    "https://169.254.169.254",
    "https://[fe80::1]",
    "https://0.0.0.0",
    "https://[::]",
    "https://0.1.2.3",
    "https://127.1",
    "https://2130706433",
    "https://0x7f.1",
    "https://017700000001",
    "https://224.0.0.1",
    "https://255.255.255.255",
    "https://100.100.100.200",
    "https://[fd00:ec2::254]",
    "http://10.0.0.1",
    "http://api.example.org",
    "ftp://api.example.org",
    "https://user:password@api.example.org",
    "https://api.example.org?x=1",
    "https://api.example.org#x",
    "https://api.example.org/../x",
    "https://api.example.org//x",
    "https://api.example.org/%2e%2e/x",
    "https://api.example.org\\@127.0.0.1",
    "https://api.example.org:99999",
    "https://api.example.org:x",
    "https://[fe80::1%25eth0]",
    "https://",
    "https:// api.example.org",
    "https://api.example.org\r\nX: y",
    "",
    "x" * 3000,
]


@pytest.mark.parametrize("server", REFUSED)
def test_t7_what_may_not_be_dialled_is_refused_by_its_url(server: str) -> None:
    with pytest.raises(BadKubeconfig, match=r"cluster\.server"):
        Dialable().guard(server)


@pytest.mark.parametrize(
    "server",
    ["https://10.0.0.1:6443", "https://192.168.1.1", "https://api.example.org/k8s/clusters/c-1", "https://[fd01::1]"],
)
def test_private_networks_are_where_clusters_are(server: str) -> None:
    assert not Dialable().guard(server).is_free, "and addresses are looked at when they are dialled"


@pytest.mark.parametrize(
    ("entry", "server"),
    [
        ("127.0.0.0/8", "https://127.0.0.1:6443"),
        ("127.0.0.1", "https://[::ffff:127.0.0.1]"),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080/"),
        ("https://[::1]:6443", "https://[::1]:6443"),
    ],
)
def test_t7_an_administrator_may_allow_more(entry: str, server: str) -> None:
    Dialable.of([entry]).guard(server)


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "10.0.0.1/8", "http://", "a b", "http://u:p@x", "*", "../x"])
def test_an_entry_that_is_none_is_refused_by_name(entry: str) -> None:
    with pytest.raises(ValueError, match=r"entry|is no network"):
        Dialable.of([entry])


@pytest.mark.parametrize("host", ["localhost"])
async def test_t7_a_name_is_judged_by_the_address_that_is_dialled(host: str) -> None:
    """As a name that leads elsewhere first and here a second later: what the resolver says is looked at each time."""
    async with stranger(lambda _: whole(orjson.dumps(thing()))) as server:
        port = server.url.rpartition(":")[2]
        config = server.kubeconfig(server=f"https://{host}:{port}")
        async with await connect(config, dialable=Dialable()) as api:
            with pytest.raises(Unreachable, match="is loopback"):
                await api.look(CONFIG_MAPS, "a", "ns", timeout_seconds=5)
            with pytest.raises(Unreachable, match="is loopback"):
                await open_connection(api)
        assert not server.asked


async def test_t7_a_proxy_is_used_only_where_it_is_listed() -> None:
    async with stranger(lambda _: [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"]) as proxy:
        config = proxy.kubeconfig(server="https://api.example.org", **{"proxy-url": proxy.url})
        with pytest.raises(BadKubeconfig, match="proxy-url"):
            await connect(config, dialable=Dialable.of(["127.0.0.0/8"]))
        async with await connect(config, dialable=Dialable.of([proxy.url])) as api:
            with pytest.raises(Unreachable):
                await api.look(PODS, "a", "ns", timeout_seconds=5)
        assert proxy.asked == ["CONNECT api.example.org:443 HTTP/1.1"]


async def test_a_server_error_is_tried_again_and_a_bad_answer_is_not() -> None:
    async with stranger(lambda _: whole(b"{}", "503 Service Unavailable")) as server, await server.api(SMALL) as api:
        with pytest.raises(ServerError):
            await api.get(CONFIG_MAPS, "a", "ns")
        assert len(server.asked) == 3
    async with stranger(lambda _: whole(b"{")) as server, await server.api(SMALL) as api:
        with pytest.raises(BadAnswer):
            await api.get(CONFIG_MAPS, "a", "ns")
        assert len(server.asked) == 1


async def test_t2_what_is_sent_is_what_was_meant() -> None:
    """Nothing is folded or unquoted between the path that was built and the line on the wire."""
    async with stranger(lambda _: whole(b'{"metadata":{}}')) as server, await server.api() as api:
        await api.request("GET", "/apis/a/v1/x/system%3Anode/..%2Fy", [("fieldSelector", "metadata.name=a,b")])
        assert server.asked == ["GET /apis/a/v1/x/system%3Anode/..%2Fy?fieldSelector=metadata.name%3Da%2Cb HTTP/1.1"]
