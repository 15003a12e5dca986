"""The built-in kinds: names, scopes and subresources as kube-apiserver 1.37 serves them.

One line per resource: plural, kind, scope (N or C), short names, categories, subresources. Strategies and columns are
attached by name from the modules beside this one; a kind without an entry there is simply stored.
"""

from dataclasses import replace

from lab.api_server.kinds import clusterwide, columns, custom, event_kinds, pods, workloads
from lab.api_server.kinds.model import (
    COMMON_FIELDS,
    SCALE,
    STATUS,
    Kind,
    Strategy,
    Subresource,
    reader,
)
from lab.api_server.kinds.types import schema_of

CREATE = ("create",)
STREAM = ("create", "get")
WRITE = ("get", "patch", "update")

TABLE = """
/v1
  configmaps ConfigMap N cm
  endpoints Endpoints N ep
  events Event N ev
  limitranges LimitRange N limits
  namespaces Namespace C ns - finalize,status
  nodes Node C no - status
  persistentvolumeclaims PersistentVolumeClaim N pvc - status
  persistentvolumes PersistentVolume C pv - status
  pods Pod N po all attach,binding,ephemeralcontainers,eviction,exec,log,portforward,resize,status
  podtemplates PodTemplate N
  replicationcontrollers ReplicationController N rc all scale,status
  resourcequotas ResourceQuota N quota - status
  secrets Secret N
  serviceaccounts ServiceAccount N sa - token
  services Service N svc all status
apiregistration.k8s.io/v1
  apiservices APIService C - api-extensions status
apps/v1
  controllerrevisions ControllerRevision N
  daemonsets DaemonSet N ds all status
  deployments Deployment N deploy all scale,status
  replicasets ReplicaSet N rs all scale,status
  statefulsets StatefulSet N sts all scale,status
events.k8s.io/v1
  events Event N ev
batch/v1
  cronjobs CronJob N cj all status
  jobs Job N - all status
certificates.k8s.io/v1
  certificatesigningrequests CertificateSigningRequest C csr - approval,status
networking.k8s.io/v1
  ingressclasses IngressClass C
  ingresses Ingress N ing - status
  networkpolicies NetworkPolicy N netpol
policy/v1
  poddisruptionbudgets PodDisruptionBudget N pdb - status
rbac.authorization.k8s.io/v1
  clusterrolebindings ClusterRoleBinding C
  clusterroles ClusterRole C
  rolebindings RoleBinding N
  roles Role N
storage.k8s.io/v1
  csidrivers CSIDriver C
  csinodes CSINode C
  csistoragecapacities CSIStorageCapacity N
  storageclasses StorageClass C sc
  volumeattachments VolumeAttachment C - - status
admissionregistration.k8s.io/v1
  mutatingwebhookconfigurations MutatingWebhookConfiguration C - api-extensions
  validatingwebhookconfigurations ValidatingWebhookConfiguration C - api-extensions
apiextensions.k8s.io/v1
  customresourcedefinitions CustomResourceDefinition C crd,crds api-extensions status
scheduling.k8s.io/v1
  priorityclasses PriorityClass C pc
coordination.k8s.io/v1
  leases Lease N
node.k8s.io/v1
  runtimeclasses RuntimeClass C
discovery.k8s.io/v1
  endpointslices EndpointSlice N
resource.k8s.io/v1
  deviceclasses DeviceClass C
  resourceclaims ResourceClaim N - - status
  resourceclaimtemplates ResourceClaimTemplate N
  resourceslices ResourceSlice C
"""

# Kinds that are only ever posted and answered, never stored.
REVIEWS = """
/v1
  bindings Binding N
authentication.k8s.io/v1
  selfsubjectreviews SelfSubjectReview C
  tokenreviews TokenReview C
authorization.k8s.io/v1
  localsubjectaccessreviews LocalSubjectAccessReview N
  selfsubjectaccessreviews SelfSubjectAccessReview C
  selfsubjectrulesreviews SelfSubjectRulesReview C
  subjectaccessreviews SubjectAccessReview C
"""

SUBRESOURCES = {
    one.name: one
    for one in (
        STATUS,
        SCALE,
        Subresource("attach", STREAM, "v1.PodAttachOptions"),
        Subresource("binding", CREATE, "v1.Binding"),
        Subresource("ephemeralcontainers", WRITE),
        Subresource("eviction", CREATE, "policy/v1.Eviction"),
        Subresource("exec", STREAM, "v1.PodExecOptions"),
        Subresource("log", ("get",)),
        Subresource("portforward", STREAM, "v1.PodPortForwardOptions"),
        Subresource("resize", WRITE),
        Subresource("token", CREATE, "authentication.k8s.io/v1.TokenRequest"),
        Subresource("finalize", ("update",)),
        Subresource("approval", WRITE),
    )
}

FIELDS = {
    "pods": {
        "spec.nodeName": reader("spec", "nodeName"),
        "spec.restartPolicy": reader("spec", "restartPolicy"),
        "spec.schedulerName": reader("spec", "schedulerName"),
        "spec.serviceAccountName": reader("spec", "serviceAccountName"),
        "spec.hostNetwork": reader("spec", "hostNetwork", default="false"),
        "status.phase": reader("status", "phase"),
        "status.podIP": reader("status", "podIP"),
        "status.nominatedNodeName": reader("status", "nominatedNodeName"),
    },
    "nodes": {"spec.unschedulable": reader("spec", "unschedulable", default="false")},
    "namespaces": {"status.phase": reader("status", "phase"), "name": reader("metadata", "name")},
    "secrets": {"type": reader("type")},
    "jobs.batch": {"status.successful": reader("status", "succeeded", default="0")},
    "replicasets.apps": {"status.replicas": reader("status", "replicas", default="0")},
    "replicationcontrollers": {"status.replicas": reader("status", "replicas", default="0")},
    "services": {"spec.clusterIP": reader("spec", "clusterIP"), "spec.type": reader("spec", "type")},
    "certificatesigningrequests.certificates.k8s.io": {"spec.signerName": reader("spec", "signerName")},
    "events": event_kinds.FIELDS,
}

ENDPOINTS = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"

STRATEGIES: dict[str, Strategy] = {
    "pods": pods.STRATEGY,
    "customresourcedefinitions.apiextensions.k8s.io": custom.DEFINITION,
    **workloads.STRATEGIES,
    **clusterwide.STRATEGIES,
}


def builtin_kinds() -> list[Kind]:
    """Return every stored built-in kind."""
    return [_finished(kind) for kind in _rows(TABLE)]


def review_kinds() -> list[Kind]:
    """Return the kinds that only answer."""
    return [replace(kind, verbs=CREATE, schema=schema_of(kind.group, kind.kind)) for kind in _rows(REVIEWS)]


def _rows(table: str) -> list[Kind]:
    kinds, group, version = [], "", ""
    for line in table.strip().splitlines():
        if not line.startswith(" "):
            group, version = line.split("/")
            continue
        plural, kind, scope, short, categories, subresources = (*line.split(), "-", "-", "-")[:6]
        kinds.append(
            Kind(
                group=group,
                version=version,
                kind=kind,
                plural=plural,
                namespaced=scope == "N",
                short_names=_listed(short),
                categories=_listed(categories),
                subresources=tuple(SUBRESOURCES[name] for name in _listed(subresources)),
                singular=kind.lower(),
                list_kind=f"{kind}List",
            )
        )
    return kinds


def _listed(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def _finished(kind: Kind) -> Kind:
    shelf = "events" if kind.kind == "Event" else kind.shelf
    kind = replace(
        kind,
        storage=shelf,
        fields={**COMMON_FIELDS, **FIELDS.get(shelf, {})},
        strategy=STRATEGIES.get(shelf, Strategy()),
        schema=schema_of(kind.group, kind.kind),
        columns=columns.COLUMNS.get(shelf, ()),
    )
    if kind.kind == "Endpoints":
        kind = replace(kind, deprecation=ENDPOINTS)
    if kind.group == "events.k8s.io":
        kind = replace(
            kind,
            to_storage=event_kinds.to_core,
            from_storage=event_kinds.from_core,
            fields={**COMMON_FIELDS, **event_kinds.NEW_FIELDS},
        )
    return kind
