"""What can go wrong in the bridge, as one tree. Errors of python-gitlab and requests never leave gitlab_api.

BridgeError
|-- ConfigurationError      a setting or the profiles file is wrong; the message names the field and the fix
|-- ClusterUnavailable      what we know of the home cluster may be old
|-- GitLabError             GitLab did not do what we asked
    |-- GitLabUnavailable   no answer, 429 or 5xx, also after retries: hold what runs, ask again later
    |   |-- GitLabUnreadable   an answer of another shape or size than GitLab's; it names what was asked
    |-- GitLabDenied        401 or 403 on the bridge's own token: a person has to act
    |   |-- InsufficientScope   the token is accepted, but has not the scope for this
    |-- GitLabMissing       404: the project, group or runner is not there (or not visible to the token)
    |-- GitLabNotOffered    405: this GitLab has no such thing, for example keyset pages of this list
    |-- GitLabRefused       a GraphQL answer with errors
    |-- RunnerTokenRejected 403 on a runner's token: it was revoked, has expired, or the runner was deleted
"""

import re

# GitLab's own prefixes: personal, runner, job and other tokens. A message that quotes an answer must not quote them.
_READ_MAX = 16_384  # characters looked at for tokens: an answer that is quoted may be long
_MESSAGE_MAX = 4096  # characters of a message
_TOKEN = re.compile(r"\bgl[a-z]{1,8}-[\w.-]{6,}")


class BridgeError(Exception):
    """Anything the bridge raises on purpose. Tokens in the message are masked."""

    def __init__(self, message: str) -> None:
        super().__init__(masked(message[:_READ_MAX])[:_MESSAGE_MAX])


class ConfigurationError(BridgeError):
    """A setting or the profiles file is wrong."""


class ClusterUnavailable(BridgeError):
    """The watch of the home cluster is down: what we know of its pods may be old."""


class GitLabError(BridgeError):
    """GitLab did not do what we asked."""


class GitLabUnavailable(GitLabError):
    """GitLab gave no usable answer; `retry_after_seconds` is what it asked for (0: nothing)."""

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class GitLabUnreadable(GitLabUnavailable):
    """GitLab's answer cannot be used: as good as none."""


class GitLabDenied(GitLabError):
    """The bridge's own token is not accepted, or may not do this."""


class InsufficientScope(GitLabDenied):
    """The bridge's own token has not the scope that this needs."""


class GitLabNotOffered(GitLabError):
    """This GitLab does not have what we asked for."""


class GitLabRefused(GitLabError):
    """GitLab understood a GraphQL query and did not answer it, or not wholly."""


class GitLabMissing(GitLabError):
    """What we asked for is not there, or not for us to see."""


class RunnerTokenRejected(GitLabError):
    """A runner's token is not accepted any more."""


def masked(text: str) -> str:
    """Return the text with GitLab tokens replaced by their prefix."""
    return _TOKEN.sub(lambda found: found.group()[: found.group().index("-") + 1] + "***", text)
