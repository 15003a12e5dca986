"""`/api/graphql`: carries queries to the schema and answers in GitLab's shapes.

Without a token one sees what is public. A query that is wrong, or asks for too much, is HTTP 200 with `errors`; a bad
token 401, a query that cannot even be looked at 422. An answer with errors still carries the data that could be had.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from graphql import ExecutionResult, graphql_sync

from lab.gitlab import access
from lab.gitlab.graphql_schema import NOBODY, SCHEMA, Asking
from lab.gitlab.shell import parameters, shell_of

QUERY_CHARACTERS_MAX = 10_000  # GitLab's own limit


async def execute(request: web.Request) -> web.Response:
    """One query with its variables."""
    state, body = shell_of(request).state, await parameters(request)
    token = access.find_token(state, request.headers)
    if access.shows_token(request.headers) and (token is None or not token.scopes & set(access.READ_API)):
        return _refusal("Invalid token", HTTPStatus.UNAUTHORIZED)
    query = body.text("query")
    if len(query) > QUERY_CHARACTERS_MAX:
        return _refusal("Query too large", HTTPStatus.UNPROCESSABLE_ENTITY)
    if not query.strip():
        return web.json_response({"errors": [{"message": "An unexpected error occurred"}]})
    result = graphql_sync(
        SCHEMA,
        query,
        context_value=Asking(state, token.user if token else NOBODY),
        variable_values=body.hash("variables"),
        operation_name=body.text("operationName") or None,
    )
    return web.json_response(_answer(result))


def _answer(result: ExecutionResult) -> dict[str, object]:
    answer: dict[str, object] = {}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    if result.data is not None:
        answer["data"] = result.data
    return answer


def _refusal(message: str, status: HTTPStatus) -> web.Response:
    return web.json_response({"errors": [{"message": message}]}, status=status)


ROUTES = [web.post("/api/graphql", execute)]
