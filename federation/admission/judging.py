"""Has home's own API server judge a pod as it was submitted (rule T8).

A proxy lacks what only a target can satisfy, and so policies at home (Pod Security, quotas, others' webhooks) never see
its host networking, host ports, runtime class and claims. Where there is any of that, the pod is created in a dry run
first, as one that nobody elected. That is one request for those pods and none for all others. It fails closed: a pod
that cannot be judged is not let in.
"""

from federation.kube.api import Api, Manifest
from federation.kube.errors import ApiError, StatusError
from federation.kube.resources import PODS

_SECONDS = 5.0  # the webhook itself has 10


class Judging:
    """Asks one cluster's API server, with the agent's right to create pods."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __call__(self, namespace: str, pod: Manifest) -> str:
        """Return why the API server would not take the pod, in its own words, or an empty string."""
        try:
            await self._api.request(
                "POST", PODS.path(namespace), [("dryRun", "All")], body=pod, timeout_seconds=_SECONDS
            )
        except StatusError as error:
            return error.message
        except ApiError as error:
            return f"home's API server could not be asked: {error}"
        return ""
