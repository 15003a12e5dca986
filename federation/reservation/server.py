"""The extender's HTTP surface: POST /bind for kube-scheduler, GET /metrics and /healthz for people.

Plain HTTP on localhost: the scheduler runs beside it, and says who it is by a password in its urlPrefix, which Go sends
as Basic credentials and leaves out of its messages. Others on that host are told nothing but 401. What the scheduler
sent wrong is answered with 200 and an Error: of any other answer it would quote the URL, with the password.
`handler_cancellation` is what makes a scheduler's death noticed: without it aiohttp lets a handler run on when its
client is gone.
"""

import base64
import hmac
import re
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from federation.reservation.extender import BindRequest, Extender


class _BindingArgs(BaseModel):
    """ExtenderBindingArgs of k8s.io/kube-scheduler/extender/v1, with Go's field names."""

    model_config = ConfigDict(extra="ignore")

    pod_name: str = Field(alias="PodName", min_length=1)
    pod_namespace: str = Field(alias="PodNamespace", min_length=1)
    pod_uid: str = Field(alias="PodUID", min_length=1)
    node: str = Field(alias="Node", min_length=1)


USER = "scheduler"
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,128}")


def read_password(path: Path) -> str:
    """Return the password in a file; raises ValueError where it holds none that a URL can carry."""
    text = path.read_text().strip()
    if not _PASSWORD.fullmatch(text):
        raise ValueError(f"ISTHMUS_EXTENDER_SECRET_FILE {path}: needs one word of 16 to 128 of A-Z a-z 0-9 _ and -")
    return text


def application(extender: Extender, password: str | None) -> web.Application:
    """Return the web application; run it with `handler_cancellation=True`. No password: anybody may bind."""
    expected = b"Basic " + base64.b64encode(f"{USER}:{password}".encode())

    async def bind(request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if password is not None and not hmac.compare_digest(shown, expected):
            return web.json_response({"Error": "the urlPrefix lacks the extender's password"}, status=401)
        try:
            args = _BindingArgs.model_validate_json(await request.read())
        except ValidationError as error:
            fields = ", ".join(str(problem["loc"][0]) if problem["loc"] else "it" for problem in error.errors())
            return web.json_response({"Error": f"not an ExtenderBindingArgs: {fields} cannot be read"})
        answer = await extender.bind(BindRequest(args.pod_name, args.pod_namespace, args.pod_uid, args.node))
        return web.json_response({"Error": answer} if answer else {})

    async def metrics(_: web.Request) -> web.Response:
        lines = [
            "# HELP isthmus_extender_holds Candidates whose node is held right now.",
            "# TYPE isthmus_extender_holds gauge",
            f"isthmus_extender_holds {len(extender.holds)}",
            "# HELP isthmus_extender_strangers_total Bind requests for pods without a PodChaperon of theirs.",
            "# TYPE isthmus_extender_strangers_total counter",
            f"isthmus_extender_strangers_total {extender.strangers}",
            "# HELP isthmus_extender_repeats_total Pods not bound because one before them may have run.",
            "# TYPE isthmus_extender_repeats_total counter",
            f"isthmus_extender_repeats_total {extender.repeats}",
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.post("/bind", bind), web.get("/metrics", metrics), web.get("/healthz", healthz)])
    return app
