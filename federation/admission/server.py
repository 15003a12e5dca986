"""The webhook's HTTPS surface: POST /mutate--v1-pod for the API server, GET /readyz for the kubelet."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiohttp import web
from loguru import logger

from federation.admission.review import review

PATH = "/mutate--v1-pod"
_BODY_BYTES_MAX = 8 * 1024 * 1024  # an AdmissionReview holds a pod (1.5 MiB at the most) and its options


def application(finalizers_for: Callable[[str], Sequence[str]], is_ready: Callable[[], bool]) -> web.Application:
    """Return the web application."""

    async def mutate(request: web.Request) -> web.Response:
        try:
            body: dict[str, Any] = orjson.loads(await request.read())
            asked = body["request"]
            response = review(asked, finalizers_for)
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            logger.warning("not an AdmissionReview", error=repr(error))
            return web.json_response({"error": f"not an AdmissionReview: {error!r}"}, status=400)
        answer = {"apiVersion": body.get("apiVersion"), "kind": "AdmissionReview", "response": response}
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if is_ready() else web.Response(text="not synced yet", status=503)

    app = web.Application(client_max_size=_BODY_BYTES_MAX)
    app.add_routes([web.post(PATH, mutate), web.get("/readyz", readyz)])
    return app
