"""What a hostile user tries: alice may edit the namespace `research` at home, and owns a target elsewhere."""

from __future__ import annotations

from tests.strangers.attempts.row import Attempt, Origin, Who

NEW, KNOWN = True, False


def _user(id: str, asset: str, rules: str, how: str, must: str, is_new: bool, test: str, origin: Origin = Origin.DOCS) -> Attempt:
    return Attempt(f"user-{id}", Who.USER, asset, rules, how, must, is_new, origin, test)


NAMES = "test_user_pods::test_a_name_that_is_a_path_is_refused"
CONFIG = "test_user_targets::test_a_kubeconfig_that_is_not_used"
MARKS = "test_user_pods::test_what_admission_sets_a_user_does_not"
FORBIDDEN = "test_user_requests::test_alice_is_refused"

FROM_DOCS = (
    _user("secret-path", "all Secrets of home", "T2", "a Secret volume named ../../kube-system/secrets/x", "the pod is refused", KNOWN, NAMES),
    _user("config-path", "all ConfigMaps of home", "T2", "a ConfigMap volume named so", "the pod is refused", KNOWN, NAMES),
    _user("projected-path", "all Secrets of home", "T2", "a projected source named so", "the pod is refused", KNOWN, NAMES),
    _user("pull-path", "all Secrets of home", "T2", "an image pull secret named so", "the pod is refused", KNOWN, NAMES),
    _user("env-path", "all Secrets of home", "T2", "envFrom named so, in an init container", "the pod is refused", KNOWN, NAMES),
    _user("escaped-path", "all Secrets of home", "T2", "a Secret volume named ..%2f..%2fkube-system%2fsecrets%2fx", "the pod is refused", NEW, NAMES),
    _user("target-path", "all Secrets of home", "T2", "a Target whose kubeconfigSecret is named so", "refused", KNOWN, FORBIDDEN),
    _user("cluster-target", "other namespaces", "T8", "a ClusterTarget", "refused", NEW, FORBIDDEN),
    _user("weight", "who is asked first", "T1", "a Target of weight 1 000 000", "refused", NEW, FORBIDDEN),
    _user("yaml-bomb", "the webhook's memory", "T1", "constraints of YAML aliases, 700 bytes", "refused at once; memory does not grow", KNOWN, "test_user_pods::test_constraints_that_unfold_are_refused"),
    _user("deep-constraints", "the webhook's life", "T1", "constraints of 5 000 brackets", "refused with a reason, not with an error of the server", KNOWN, "test_user_pods::test_constraints_that_unfold_are_refused"),
    _user("regexp", "the agent's memory", "T1", "a no-prefix-label-regexp such as ((a{100}){100}){100}", "refused or without effect; the agent lives", NEW, "test_user_pods::test_constraints_that_unfold_are_refused"),
    _user("config-bomb", "the agent's memory", "T1", "a kubeconfig of YAML aliases", "BadKubeconfig; the agent lives", KNOWN, CONFIG),
    _user("exec", "the agent's machine", "T7", "a kubeconfig that runs a program", "BadKubeconfig; nothing is run", NEW, CONFIG),
    _user("auth-provider", "the agent's machine", "T7", "a kubeconfig with an auth-provider that runs a program", "BadKubeconfig; nothing is run", NEW, CONFIG),
    _user("files", "the agent's files", "T7 T9", "a kubeconfig whose token and keys are files of the agent", "BadKubeconfig; nobody gets a token", NEW, CONFIG),
    _user("metadata", "the cloud's credentials", "T7", "a kubeconfig with the server http://169.254.169.254", "refused before it is dialled", KNOWN, CONFIG),
    _user("plain-http", "home's inner network", "T7", "a kubeconfig with the server http:// of an inner address", "refused; nobody calls that address", KNOWN, CONFIG),
    _user("proxy-url", "home's inner network", "T7", "a kubeconfig with a proxy-url", "refused; nobody calls that address", KNOWN, CONFIG),
    _user("mapped-address", "home's inner network", "T7", "servers [::ffff:169.254.169.254], 0xA9FEA9FE and 2852039166", "refused before they are dialled", NEW, CONFIG),
    _user("query", "home's inner network", "T7", "a server with a query, a fragment and userinfo", "refused", KNOWN, CONFIG),
    _user("spread", "other namespaces' pods", "T5", "an annotation isthmus.dev/spread with labels of virtual nodes", "virtual nodes do not get them", KNOWN, MARKS),
    _user("marks", "the protocol's records", "T8", "all annotations of ours that a user has no business with", "none of them is on the proxy as written", KNOWN, MARKS),
    _user("finalizers", "its own pod's end", "T8", "finalizers of Targets that are not this namespace's", "the pod can be deleted", NEW, MARKS),
    _user("parent-uid", "others' pods", "T5", "labels parent-uid and parent-cluster-name of somebody else's pod", "the PodChaperon has its own", NEW, "test_user_pods::test_labels_of_others"),
    _user("later-manifest", "Pod Security at home", "T8", "a PATCH of sourcepod-manifest with hostNetwork in it", "refused", KNOWN, FORBIDDEN),
    _user("later-elect", "admission", "T8 C4", "elect and a manifest by PATCH on a pod that was never admitted", "refused, or no PodChaperon comes of it", NEW, FORBIDDEN),
    _user("pod-security", "Pod Security at home", "T8", "hostNetwork and a hostPort in a namespace that enforces baseline", "refused, as without the federation", KNOWN, "test_user_pods::test_pod_security_sees_the_pod_as_submitted"),
    _user("other-node", "targets of other namespaces", "C4", "an elected pod with nodeName of another namespace's virtual node", "no PodChaperon in that target", NEW, "test_user_pods::test_a_node_of_another_namespace"),
    _user("tolerates-all", "targets", "C4", "a pod that nobody elected, which tolerates all and names a virtual node", "no PodChaperon in any target", NEW, "test_user_pods::test_a_node_of_another_namespace"),
    _user("accept-loss", "other namespaces' pods", "S4", "accept-loss and a PATCH of the status of a ClusterTarget", "refused", NEW, FORBIDDEN),
    _user("foreign-secret", "the target owner's Secrets", "T6", "a pod that names a Secret which exists only in the target", "it is not let go ahead; the proxy says why", KNOWN, "test_user_pods::test_a_secret_of_the_targets_owner"),
    _user("optional-secret", "the target owner's Secrets", "T6", "the same, marked optional", "it never runs with that Secret", NEW, "test_user_pods::test_a_secret_of_the_targets_owner"),
    _user("pod-annotations", "the target's add-ons", "T5", "annotations of CNI, mesh and AppArmor on a pod", "not under those keys on the delegate", KNOWN, "test_user_pods::test_annotations_that_do_not_travel"),
    _user("service-annotations", "the target's DNS and balancers", "T5", "a load balancer's annotations on a Service", "not on the copy", KNOWN, "test_user_pods::test_annotations_that_do_not_travel"),
    _user("who-submitted", "names of home's users", "T5 T9", "looks in the target for who submitted pods at home", "no user name, group or manifest travels", NEW, "test_user_pods::test_annotations_that_do_not_travel"),
    _user("webhook-shapes", "the webhook's life", "T1", "AdmissionReviews of every wrong shape, sent without a certificate", "an answer of 4xx or a denial, never 5xx", KNOWN, "test_user_wire::test_the_webhook_survives_any_body"),
    _user("webhook-slow", "the webhook", "T1", "100 bodies that never end", "a good review is answered meanwhile", KNOWN, "test_user_wire::test_slow_bodies_hold_nobody_up"),
)
