"""Paths that are not resources: health, version, discovery, OpenAPI, metrics."""

import orjson

from lab.api_server.core.counting import Counter
from lab.api_server.core.discovery import Discovery
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.openapi import document, index
from lab.api_server.core.request import Answer, Request, Response, answer, text

HEALTH = ("/healthz", "/livez", "/readyz")
VERSION: Manifest = {
    "major": "1",
    "minor": "37",
    "emulationMajor": "1",
    "emulationMinor": "37",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36",
    "gitVersion": "v1.37.2-isthmus-lab",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26.8",
    "compiler": "gc",
    "platform": "linux/amd64",
}
PROTOBUF_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"  # what can be parsed as a media type


class Plain:
    """Answers non-resource paths."""

    def __init__(self, discovery: Discovery, counter: Counter) -> None:
        self._discovery, self._counter = discovery, counter

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        path = request.path.rstrip("/") or "/"
        if path.startswith(HEALTH):
            wants_all = any(key == "verbose" for key, _ in request.query)
            return text(f"[+]ping ok\n{path.strip('/')} check passed\n" if wants_all else "ok")
        if path == "/version":
            return Response(200, orjson.dumps(VERSION, option=orjson.OPT_INDENT_2))
        if path == "/metrics":
            return Response(200, self._counter.text().encode(), "text/plain; version=0.0.4; charset=utf-8")
        if path.startswith("/openapi/"):
            return self._openapi(request, path)
        return self._discovery.answer(request, path) or text("404 page not found\n", 404)

    def _openapi(self, request: Request, path: str) -> Response:
        served = self._discovery.served
        if path == "/openapi/v2":
            if PROTOBUF_ASKED.split("@", maxsplit=1)[0] in request.header("accept"):
                return Response(200, b"", PROTOBUF)  # an empty document, which clients take for "no schema known"
            info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
            return answer({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}})
        if path == "/openapi/v3":
            return answer(index(served))
        found = document(served, path.removeprefix("/openapi/v3/"))
        return answer(found) if found else text("404 page not found\n", 404)
