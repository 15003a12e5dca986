"""What the core refuses, each with the HTTP status and JSON body that GitLab's API gives for it.

    GitLabError
      Unauthorized (401)   NotFound (404)      Conflict (409)
      Forbidden (403)      Invalid (400)       Unprocessable (422)
      CiConfigError        a `.gitlab-ci.yml` that cannot become a pipeline; carries one message per fault

Bodies come in GitLab's two shapes: `{"message": ...}` from its own code, `{"error": ...}` from parameter validation.
"""

from __future__ import annotations


class GitLabError(Exception):
    """A refusal that the shell turns into a response as it stands."""

    status = 500
    key = "message"

    def __init__(self, message: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(message))
        self.body: dict[str, object] = {self.key: message}
        self.headers = headers or {}


class Unauthorized(GitLabError):
    status = 401

    def __init__(self) -> None:
        super().__init__("401 Unauthorized")


class DeadToken(Unauthorized):
    """A token that was good once; OAuth's body shape, as GitLab answers it."""

    def __init__(self, description: str) -> None:
        super().__init__()
        self.body = {"error": "invalid_token", "error_description": description}


class Forbidden(GitLabError):
    status = 403

    def __init__(self, detail: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(f"403 Forbidden{' - ' + detail if detail else ''}", headers)


class InsufficientScope(Forbidden):
    """The token is good but was not given the scope; OAuth's body shape, as GitLab answers it."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__()
        self.body = {
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided by the access token.",
            "scope": " ".join(scopes),
        }


class NotFound(GitLabError):
    status = 404

    def __init__(self, what: str = "") -> None:
        super().__init__(f"404 {what} Not Found" if what else "404 Not Found")


class Invalid(GitLabError):
    status = 400


class Missing(Invalid):
    """A required parameter that was not sent or has a value outside its list."""

    key = "error"


class Conflict(GitLabError):
    status = 409


class Unprocessable(GitLabError):
    status = 422


class CiConfigError(Exception):
    """Every fault of a `.gitlab-ci.yml`, in GitLab's words where it has them."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
