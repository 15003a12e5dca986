"""The webhook's HTTPS surface: POST /mutate--v1-pod for the API server, GET /readyz for the kubelet."""

from collections.abc import Callable, Sequence

import orjson
from aiohttp import web
from loguru import logger

from federation.admission.review import answer
from federation.model.reading import Unreadable

PATH = "/mutate--v1-pod"
_SHOWN_MAX = 300  # characters of an error
_BODY_BYTES_MAX = 8 * 1024 * 1024  # an AdmissionReview holds a pod (1.5 MiB at the most) and its options


def application(finalizers_for: Callable[[str], Sequence[str]], is_ready: Callable[[], bool]) -> web.Application:
    """Return the web application."""

    async def mutate(request: web.Request) -> web.Response:
        try:
            found = answer(orjson.loads(await request.read()), finalizers_for)
        except (orjson.JSONDecodeError, Unreadable) as error:
            logger.warning("not an AdmissionReview", error=str(error)[:_SHOWN_MAX])
            return web.json_response({"error": f"not an AdmissionReview: {str(error)[:_SHOWN_MAX]}"}, status=400)
        return web.Response(body=orjson.dumps(found), content_type="application/json")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if is_ready() else web.Response(text="not synced yet", status=503)

    app = web.Application(client_max_size=_BODY_BYTES_MAX)
    app.add_routes([web.post(PATH, mutate), web.get("/readyz", readyz)])
    return app
