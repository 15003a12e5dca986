"""What the parts of pods and nodes must be that we look at (rule T1); see `reading` for how shapes are used.

API servers have typed all of this in Pods and Nodes. They have not in PodChaperons, whose spec and status are open, in
pods that users write into annotations, and in what an API server sends that is a stranger's.
"""

from collections.abc import Mapping

from federation.model.shape import Fields, Flag, Items, Quantities, Shape, Text, Whole, Words

MESSAGE_MAX = 4096  # a kubelet cuts termination messages there; what a target says beyond it is not passed on
_WORD_MAX = 1024  # reasons, types, addresses, ids of containers

_NAMED = Fields({"name": Text()})
_EXPRESSION = Fields({"key": Text(), "operator": Text(), "values": Items(Text())}, ("key", "operator"))
_TERM = Fields({"matchExpressions": Items(_EXPRESSION), "matchFields": Items(_EXPRESSION)})
_POD_TERMS = Fields(
    {
        "requiredDuringSchedulingIgnoredDuringExecution": Items(Fields()),
        "preferredDuringSchedulingIgnoredDuringExecution": Items(Fields()),
    }
)
AFFINITY = Fields(
    {
        "nodeAffinity": Fields(
            {
                "requiredDuringSchedulingIgnoredDuringExecution": Fields({"nodeSelectorTerms": Items(_TERM)}),
                "preferredDuringSchedulingIgnoredDuringExecution": Items(Fields({"preference": _TERM})),
            }
        ),
        "podAffinity": _POD_TERMS,
        "podAntiAffinity": _POD_TERMS,
    }
)
_TOLERATION = Fields(
    {"key": Text(), "operator": Text(), "value": Text(), "effect": Text(), "tolerationSeconds": Whole()}
)
CONSTRAINTS: Mapping[str, Shape] = {
    "nodeSelector": Words(),
    "tolerations": Items(_TOLERATION),
    "affinity": AFFINITY,
    "topologySpreadConstraints": Items(Fields({"topologyKey": Text()})),
}
_RESOURCES = Fields({"requests": Quantities(), "limits": Quantities(), "claims": Items(Fields())})
_CONTAINER = Fields(
    {
        "name": Text(),
        "restartPolicy": Text(),
        "resources": _RESOURCES,
        "ports": Items(Fields({"containerPort": Whole(), "hostPort": Whole(), "protocol": Text()}, ("containerPort",))),
        "volumeMounts": Items(Fields({"name": Text(), "mountPath": Text()}, ("name", "mountPath"))),
        "envFrom": Items(Fields({"configMapRef": _NAMED, "secretRef": _NAMED})),
        "env": Items(Fields({"valueFrom": Fields({"configMapKeyRef": _NAMED, "secretKeyRef": _NAMED})})),
    },
    ("name",),
)
_VOLUME = Fields(
    {
        "name": Text(),
        "configMap": _NAMED,
        "secret": Fields({"secretName": Text()}),
        "azureFile": Fields({"secretName": Text()}),
        "projected": Fields({"sources": Items(Fields({"configMap": _NAMED, "secret": _NAMED}))}),
        "persistentVolumeClaim": Fields({"claimName": Text()}),
        "ephemeral": Fields(),
    },
    ("name",),
)
POD_SPEC = Fields(
    {
        **CONSTRAINTS,
        "containers": Items(_CONTAINER),
        "initContainers": Items(_CONTAINER),
        "ephemeralContainers": Items(_CONTAINER),
        "volumes": Items(_VOLUME),
        "imagePullSecrets": Items(_NAMED),
        "schedulingGates": Items(Fields({"name": Text()}, ("name",))),
        "resourceClaims": Items(Fields()),
        "resources": _RESOURCES,
        "overhead": Quantities(),
        "nodeName": Text(),
        "schedulerName": Text(),
        "restartPolicy": Text(),
        "priority": Whole(),
    }
)


def _condition(message_max: int) -> Fields:
    known = {
        "type": Text(_WORD_MAX),
        "status": Text(_WORD_MAX),
        "reason": Text(_WORD_MAX),
        "message": Text(message_max),
        "lastTransitionTime": Text(_WORD_MAX),
    }
    return Fields(known, ("type", "status"))


def conditions(message_max: int = MESSAGE_MAX) -> Items:
    """Return the shape of a status' conditions."""
    return Items(_condition(message_max), max=1024)


def pod_status(message_max: int) -> Fields:
    """Return the shape of a PodStatus whose messages are at most so long."""
    said = Fields(
        {"reason": Text(_WORD_MAX), "message": Text(message_max), "exitCode": Whole(), "finishedAt": Text(_WORD_MAX)}
    )
    state = Fields({"waiting": said, "running": Fields({"startedAt": Text(_WORD_MAX)}), "terminated": said})
    container = Fields({"name": Text(), "state": state, "lastState": state, "restartCount": Whole()})
    word = Text(_WORD_MAX)
    return Fields(
        {
            "phase": word,
            "reason": word,
            "message": Text(message_max),
            "startTime": word,
            "podIP": word,
            "hostIP": word,
            "podIPs": Items(Fields({"ip": word}, ("ip",)), max=64),
            "hostIPs": Items(Fields({"ip": word}, ("ip",)), max=64),
            "nominatedNodeName": word,
            "qosClass": word,
            "conditions": conditions(message_max),
            "containerStatuses": Items(container),
            "initContainerStatuses": Items(container),
            "ephemeralContainerStatuses": Items(container),
        }
    )


POD_STATUS = pod_status(32 * MESSAGE_MAX)  # as an API server of ours has it
TOLD_STATUS = pod_status(MESSAGE_MAX)  # as a PodChaperon tells it

NODE_SPEC = Fields(
    {
        "unschedulable": Flag(),
        "taints": Items(Fields({"key": Text(), "value": Text(), "effect": Text()}, ("key", "effect"))),
    }
)
NODE_STATUS = Fields(
    {
        "capacity": Quantities(),
        "allocatable": Quantities(),
        "conditions": conditions(32 * MESSAGE_MAX),
        "nodeInfo": Fields({"kubeletVersion": Text(_WORD_MAX)}),
        "declaredFeatures": Items(Text()),
    }
)
