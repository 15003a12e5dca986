"""Looks, live, whether the policies that bound what sources may do are in force (rule T3)."""

import asyncio

from federation import names
from federation.decisions.source_policies import unguarded
from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.resources import (
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    Resource,
)


async def complaints(api: Api) -> tuple[str, ...]:
    """Return, in words, what is wrong with them; an API server that does not know such kinds has none of them."""

    async def read(resource: Resource, name: str) -> Manifest | None:
        try:
            return await api.get(resource, name)
        except NotFound:
            return None

    async def found(resource: Resource) -> dict[str, Manifest | None]:
        answers = await asyncio.gather(*(read(resource, name) for name in names.SOURCE_POLICIES))
        return dict(zip(names.SOURCE_POLICIES, answers, strict=True))

    return unguarded(await found(VALIDATING_ADMISSION_POLICIES), await found(VALIDATING_ADMISSION_POLICY_BINDINGS))
