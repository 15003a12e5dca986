"""The extender's HTTP surface: POST /bind for kube-scheduler, GET /metrics and /healthz for people.

Plain HTTP on localhost: the scheduler runs beside it. `handler_cancellation` is what makes a scheduler's death
noticed: without it aiohttp lets a handler run on when its client is gone.
"""

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


def application(extender: Extender) -> web.Application:
    """Return the web application; run it with `handler_cancellation=True`."""

    async def bind(request: web.Request) -> web.Response:
        try:
            args = _BindingArgs.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"Error": f"not an ExtenderBindingArgs: {error}"}, status=400)
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
