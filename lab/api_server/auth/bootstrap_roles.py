"""The roles and bindings that every cluster starts with, under upstream's names.

One line per rule: verbs, then `group: resources`, where the core group is written as `-` and a name after `@` limits
the rule to that object. `rw` and `ro` stand for upstream's usual sets of verbs. Roles for parts that the lab does not
have (kube-dns, heapster, node-problem-detector, ...) are left out.
"""

from lab.api_server.core.manifest import Manifest

GROUP = "rbac.authorization.k8s.io"
VERB_SETS = {
    "ro": ["get", "list", "watch"],
    "rw": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    "w": ["create", "delete", "deletecollection", "patch", "update"],
}
EVENTS = "create,patch,update -,events.k8s.io: events"
REVIEWS = """
create authentication.k8s.io: tokenreviews
create authorization.k8s.io: subjectaccessreviews
"""

ROLES = {
    "cluster-admin": "* *: *\n* /*",
    "system:auth-delegator": REVIEWS,
    "system:basic-user": """
        create authorization.k8s.io: selfsubjectaccessreviews,selfsubjectrulesreviews
        create authentication.k8s.io: selfsubjectreviews
    """,
    "system:discovery": "get /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/",
    "system:public-info-viewer": "get /healthz,/livez,/readyz,/version,/version/",
    "system:monitoring": """
        get /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*
        get -: nodes/metrics
    """,
    "system:kube-controller-manager": f"""
        {EVENTS}
        create coordination.k8s.io: leases
        get,update coordination.k8s.io: leases@kube-controller-manager
        create -: secrets,serviceaccounts
        delete -: secrets
        get -: configmaps,namespaces,secrets,serviceaccounts
        update -: secrets,serviceaccounts
        {REVIEWS}
        list,watch *: *
        create -: serviceaccounts/token
    """,
    "system:kube-scheduler": f"""
        {EVENTS}
        create coordination.k8s.io: leases
        get,list,update,watch coordination.k8s.io: leases@kube-scheduler
        ro -: nodes
        delete,get,list,watch -: pods
        create -: bindings,pods/binding
        patch,update -: pods/status
        update -: pods/finalizers
        ro -: replicationcontrollers,services,persistentvolumeclaims,persistentvolumes,namespaces
        ro apps,extensions: replicasets
        ro apps: statefulsets
        ro policy: poddisruptionbudgets
        {REVIEWS}
        ro storage.k8s.io: csinodes,volumeattachments,csidrivers,csistoragecapacities
        ro resource.k8s.io: deviceclasses,resourceslices
        create,delete,get,list,patch,update,watch resource.k8s.io: resourceclaims
        get,list,patch,update,watch resource.k8s.io: resourceclaims/status
    """,
    "system:volume-scheduler": """
        get,list,patch,update,watch -: persistentvolumes,persistentvolumeclaims
        ro storage.k8s.io: storageclasses
    """,
    "system:kubelet-api-admin": """
        ro -: nodes
        proxy -: nodes
        * -: nodes/log,nodes/metrics,nodes/proxy,nodes/stats
        * -: nodes/configz,nodes/healthz,nodes/pods
    """,
    "system:node": f"""
        create authentication.k8s.io: tokenreviews
        create authorization.k8s.io: localsubjectaccessreviews,subjectaccessreviews
        ro -: services,configmaps,secrets
        create,get,list,watch,patch,update -: nodes
        patch,update -: nodes/status,pods/status
        {EVENTS}
        create,delete,get,list,watch -: pods
        create -: pods/eviction,serviceaccounts/token
        get -: persistentvolumeclaims,persistentvolumes,endpoints,serviceaccounts
        create,get,list,watch certificates.k8s.io: certificatesigningrequests
        create,delete,get,patch,update coordination.k8s.io: leases
        get storage.k8s.io: volumeattachments
        get,patch,update -: persistentvolumeclaims/status
        ro storage.k8s.io: csidrivers
        create,delete,get,patch,update storage.k8s.io: csinodes
        ro node.k8s.io: runtimeclasses
        get resource.k8s.io: resourceclaims
    """,
    "system:node-proxier": f"""
        list,watch -: endpoints,services
        ro -: nodes
        {EVENTS}
        list,watch discovery.k8s.io: endpointslices
    """,
    "system:aggregate-to-view": """
        ro -: configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers
        ro -: replicationcontrollers/scale,serviceaccounts,services,services/status
        ro -: bindings,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status
        ro -: resourcequotas,resourcequotas/status,namespaces
        ro -,events.k8s.io: events
        ro discovery.k8s.io: endpointslices
        ro apps: controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status
        ro apps: replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status
        ro batch: cronjobs,cronjobs/status,jobs,jobs/status
        ro policy: poddisruptionbudgets,poddisruptionbudgets/status
        ro networking.k8s.io: ingresses,ingresses/status,networkpolicies
        ro resource.k8s.io: resourceclaims,resourceclaims/status,resourceclaimtemplates
    """,
    "system:aggregate-to-edit": """
        ro -: pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
        impersonate -: serviceaccounts
        w -: pods,pods/attach,pods/exec,pods/portforward,pods/proxy
        create -: pods/eviction
        w -: configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets
        w -: serviceaccounts,services,services/proxy
        create -: serviceaccounts/token
        w -,events.k8s.io: events
        w apps: daemonsets,deployments,deployments/rollback,deployments/scale
        w apps: replicasets,replicasets/scale,statefulsets,statefulsets/scale
        w batch: cronjobs,jobs
        w policy: poddisruptionbudgets
        w networking.k8s.io: ingresses,networkpolicies
        rw coordination.k8s.io: leases
        w resource.k8s.io: resourceclaims,resourceclaimtemplates
    """,
    "system:aggregate-to-admin": """
        create authorization.k8s.io: localsubjectaccessreviews
        rw rbac.authorization.k8s.io: rolebindings,roles
    """,
    "view": "",
    "edit": "",
    "admin": "",
}
AGGREGATED_INTO = {
    "system:aggregate-to-view": "view",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-admin": "admin",
    "view": "edit",
    "edit": "admin",
}
BINDINGS = {
    "cluster-admin": ("Group", "system:masters"),
    "system:basic-user": ("Group", "system:authenticated"),
    "system:discovery": ("Group", "system:authenticated"),
    "system:public-info-viewer": ("Group", "system:authenticated", "system:unauthenticated"),
    "system:monitoring": ("Group", "system:monitoring"),
    "system:kube-controller-manager": ("User", "system:kube-controller-manager"),
    "system:kube-scheduler": ("User", "system:kube-scheduler"),
    "system:volume-scheduler": ("User", "system:kube-scheduler"),
    "system:node-proxier": ("User", "system:kube-proxy"),
}
LOCKING = "create,get,list,update,watch coordination.k8s.io: leases"
NAMESPACED = {
    "extension-apiserver-authentication-reader": "ro -: configmaps@extension-apiserver-authentication",
    "system::leader-locking-kube-controller-manager": LOCKING,
    "system::leader-locking-kube-scheduler": LOCKING,
}
NAMESPACED_BINDINGS = {
    "system::extension-apiserver-authentication-reader": (
        "extension-apiserver-authentication-reader",
        "system:kube-controller-manager",
        "system:kube-scheduler",
    ),
    "system::leader-locking-kube-controller-manager": (
        "system::leader-locking-kube-controller-manager",
        "system:kube-controller-manager",
    ),
    "system::leader-locking-kube-scheduler": ("system::leader-locking-kube-scheduler", "system:kube-scheduler"),
}


def bootstrap_objects() -> list[tuple[str, Manifest]]:
    """Return (resource, object) for every role and binding."""
    objects: list[tuple[str, Manifest]] = []
    for name, text in ROLES.items():
        objects.append((f"clusterroles.{GROUP}", _cluster_role(name, text)))
    for name, (kind, *names) in BINDINGS.items():
        subjects = [{"kind": kind, "apiGroup": GROUP, "name": one} for one in names]
        objects.append((f"clusterrolebindings.{GROUP}", _binding("Cluster", name, name, subjects)))
    for name, text in NAMESPACED.items():
        role: Manifest = _head("Role", name, "kube-system") | {"rules": _rules(text)}
        objects.append((f"roles.{GROUP}", role))
    for name, (role_name, *users) in NAMESPACED_BINDINGS.items():
        subjects = [{"kind": "User", "apiGroup": GROUP, "name": user} for user in users]
        objects.append((f"rolebindings.{GROUP}", _binding("", name, role_name, subjects)))
    return objects


def _head(kind: str, name: str, namespace: str = "") -> Manifest:
    metadata: Manifest = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    return {"kind": kind, "apiVersion": f"{GROUP}/v1", "metadata": metadata}


def _cluster_role(name: str, text: str) -> Manifest:
    role = _head("ClusterRole", name)
    if name in AGGREGATED_INTO:
        role["metadata"]["labels"][f"{GROUP}/aggregate-to-{AGGREGATED_INTO[name]}"] = "true"
    if name in {"view", "edit", "admin"}:
        selector = {"matchLabels": {f"{GROUP}/aggregate-to-{name}": "true"}}
        role["aggregationRule"] = {"clusterRoleSelectors": [selector]}
    return role | {"rules": _rules(text)}


def _binding(scope: str, name: str, role: str, subjects: list[Manifest]) -> Manifest:
    kind = "ClusterRole" if scope else "Role"
    head = _head(f"{scope}RoleBinding", name, "" if scope else "kube-system")
    return head | {"subjects": subjects, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}}


def _rules(text: str) -> list[Manifest]:
    return [_rule(line.strip()) for line in text.splitlines() if line.strip()]


def _rule(line: str) -> Manifest:
    verbs, _, rest = line.partition(" ")
    rule: Manifest = {"verbs": VERB_SETS.get(verbs, verbs.split(","))}
    if rest.startswith("/"):
        return rule | {"nonResourceURLs": ["*"] if rest == "/*" else rest.split(",")}
    groups, _, resources = rest.partition(": ")
    resources, _, name = resources.partition("@")
    rule["apiGroups"] = ["" if group == "-" else group for group in groups.split(",")]
    rule["resources"] = resources.split(",")
    return rule | ({"resourceNames": [name]} if name else {})
