"""The webhook's HTTPS surface: POST /mutate--v1-pod for the API server, GET /readyz for the kubelet."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import orjson
from aiohttp import web
from loguru import logger

from federation.admission.review import Manifest, answer, denied, to_judge
from federation.model.reading import Unreadable

PATH = "/mutate--v1-pod"
_SHOWN_MAX = 300  # characters of an error
_BODY_BYTES_MAX = 8 * 1024 * 1024  # an AdmissionReview holds a pod (1.5 MiB at the most) and its options


_BODY_SECONDS_MAX = 5.0  # the API server sends at once, and waits for 10 s in all (deploy/webhook.yaml)
_BODIES_MAX = 256  # read at once, 8 MiB each at the most: more than an API server sends, few enough to bear


# Has the API server judge a pod of a namespace; returns why it may not be, or an empty string.
Judge = Callable[[str, Manifest], Awaitable[str]]


async def nobody_judges(namespace: str, pod: Manifest) -> str:
    """Let every pod pass: for tests of the rest."""
    return ""


def application(
    finalizers_for: Callable[[str], Sequence[str]],
    is_ready: Callable[[], bool],
    *,
    judge: Judge = nobody_judges,
    needs_certificate: bool = False,
    body_seconds_max: float = _BODY_SECONDS_MAX,
) -> web.Application:
    """Return the web application. `needs_certificate`: only who shows one, which TLS has verified, is answered.

    `judge` is asked about pods that home's policies would not see as submitted, and about no others (rule T8).
    """
    reading = asyncio.Semaphore(_BODIES_MAX)

    async def body(request: web.Request) -> bytes:
        """Return what was sent; who sends slowly, or waits behind many who do, is given up (408)."""
        try:
            async with asyncio.timeout(body_seconds_max), reading:
                return await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="no whole AdmissionReview in time") from None

    async def refusal(asked: object) -> Manifest | None:
        unseen = to_judge(asked)
        if unseen is None or not (message := await judge(*unseen)):
            return None
        assert isinstance(asked, dict)
        return denied(asked, 403, f"as submitted, before it was made a proxy: {message}")

    async def mutate(request: web.Request) -> web.Response:
        if needs_certificate and not request.get_extra_info("peercert"):
            raise web.HTTPForbidden(text="show the client certificate that the API server was given for webhooks")
        try:
            asked = orjson.loads(await body(request))
            found = await refusal(asked) or answer(asked, finalizers_for)
        except (orjson.JSONDecodeError, Unreadable) as error:
            logger.warning("not an AdmissionReview", error=str(error)[:_SHOWN_MAX])
            return web.json_response({"error": f"not an AdmissionReview: {str(error)[:_SHOWN_MAX]}"}, status=400)
        return web.Response(body=orjson.dumps(found), content_type="application/json")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if is_ready() else web.Response(text="not synced yet", status=503)

    app = web.Application(client_max_size=_BODY_BYTES_MAX)
    app.add_routes([web.post(PATH, mutate), web.get("/readyz", readyz)])
    return app
