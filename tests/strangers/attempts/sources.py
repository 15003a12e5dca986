"""What a hostile source tries: it holds a Source's credential, and sends requests that no agent of ours would send."""

from __future__ import annotations

from tests.strangers.attempts.row import Attempt, Origin, Who

NEW, KNOWN = True, False


def _source(id: str, asset: str, rules: str, how: str, must: str, is_new: bool, test: str, origin: Origin = Origin.DOCS) -> Attempt:
    return Attempt(f"source-{id}", Who.SOURCE, asset, rules, how, must, is_new, origin, test)


REFUSED = "test_source_requests::test_a_source_is_refused"
POISON = "test_source_poison::test_a_poisoned_chaperon_harms_itself_alone"

FROM_DOCS = (
    _source("token-secret", "accounts of the target", "T3", "a Secret of type service-account-token for an account with rights", "refused", KNOWN, REFUSED),
    _source("empty-patch", "the owner's Secrets", "T3", "an empty PATCH of the owner's Secret, which answers with it", "refused, nothing shown", KNOWN, REFUSED),
    _source("get-secret", "the owner's Secrets", "T3", "GET of the owner's Secret", "refused", KNOWN, REFUSED),
    _source("apply-secret", "the owner's Secrets", "T3", "server-side apply with force over the owner's Secret", "refused", NEW, REFUSED),
    _source("list-secrets", "the owner's Secrets", "T3", "list and watch of Secrets", "refused", KNOWN, REFUSED),
    _source("token-request", "accounts of the target", "T3", "TokenRequest for `default` and for its own account", "refused", NEW, REFUSED),
    _source("own-pod", "nodes of the target", "T3", "a Pod of its own making", "refused", KNOWN, REFUSED),
    _source("ephemeral", "pods of the owner", "T3", "an ephemeral container in a pod", "refused", NEW, REFUSED),
    _source("bind-pod", "nodes of the target", "T3", "a Binding and an Eviction of a pod", "refused", NEW, REFUSED),
    _source("service-proxy", "the owner's inner network", "T3", "services/proxy and nodes/proxy", "refused", NEW, REFUSED),
    _source("summary", "what other sources see", "T3", "a PATCH of the ClusterSummary", "refused", NEW, REFUSED),
    _source("own-role", "the owner's roles", "T3", "a RoleBinding of admin for itself", "refused", NEW, REFUSED),
    _source("impersonate", "accounts of the target", "T3", "Impersonate-User of the agent", "refused", NEW, REFUSED),
    _source("node-name", "nodes of the target", "T3", "a PodChaperon whose pod names a node", "refused", KNOWN, REFUSED),
    _source("scheduler", "nodes of the target", "T3", "a PodChaperon for the default scheduler", "refused", KNOWN, REFUSED),
    _source("host-network", "nodes of the target", "T3", "a PodChaperon with hostNetwork", "refused", KNOWN, REFUSED),
    _source("host-path", "nodes of the target", "T3", "a PodChaperon with a hostPath", "refused", KNOWN, REFUSED),
    _source("account", "accounts of the target", "T3", "a PodChaperon that runs as an account with rights", "refused", KNOWN, REFUSED),
    _source("account-alias", "accounts of the target", "T3", "the same by the old name of the field, spec.serviceAccount", "refused", NEW, REFUSED),
    _source("priority-class", "the owner's pods", "T3", "a PodChaperon of a PriorityClass that nobody gave it", "refused", KNOWN, REFUSED),
    _source("credential-volume", "credentials of sources", "T3", "a PodChaperon that mounts the Secret of a credential", "refused", KNOWN, REFUSED),
    _source("later-host-network", "nodes of the target", "T3", "hostNetwork by a PATCH of a PodChaperon that was let in", "refused", NEW, REFUSED),
    _source("marks-itself", "the reservation", "T3 S1", "a PodChaperon that says is-reserved and node-name of itself", "refused", KNOWN, REFUSED),
    _source("status", "what the owner sees", "T3", "the status of a PodChaperon", "refused", NEW, REFUSED),
    _source("root-ca", "trust of the owner's pods", "T3", "a PUT over the ConfigMap kube-root-ca.crt", "refused", NEW, REFUSED),
    _source("delete-config", "the owner's ConfigMaps", "T3", "DELETE of the owner's ConfigMap", "refused", KNOWN, REFUSED),
    _source("take-over", "the owner's ConfigMaps", "T3", "a PATCH that puts the label of a copy on the owner's ConfigMap", "refused", NEW, REFUSED),
    _source("external-ip", "the owner's network", "T3", "a Service with externalIPs", "refused", KNOWN, REFUSED),
    _source("external-name", "the owner's network", "T3", "a Service of type ExternalName", "refused", KNOWN, REFUSED),
    _source("kube-system", "the control plane", "T3", "as a ClusterSource: a PodChaperon in kube-system", "refused", KNOWN, REFUSED),
    _source("agent-namespace", "the agent's Secrets", "T3", "as a ClusterSource: the agent's webhook key, and another source's credential", "refused", KNOWN, REFUSED),
    _source("own-credential", "its own credential", "T3", "a PATCH and a DELETE of the Secret of its credential", "refused", NEW, REFUSED),
    _source("thrown-out", "after the Source is gone", "T3", "keeps its token, and uses it when its Source was deleted", "the token is worth nothing", KNOWN, "test_source_revoked::test_a_token_in_hand_is_worth_nothing"),
    _source("superscript", "the target's agent", "T1", "an annotation with a number that int() refuses", "agent and extender live; a good PodChaperon runs", KNOWN, POISON),
    _source("many-digits", "the target's agent", "T1", "an annotation with a number of 5 000 digits", "agent and extender live; a good PodChaperon runs", KNOWN, POISON),
    _source("far-times", "the target's agent", "T1", "pod-missing-since in the year 0 and beyond 9999", "agent and extender live; a good PodChaperon runs", NEW, POISON),
    _source("spec-types", "the target's agent", "T1", "containers whose fields are of wrong types, amounts that are no amounts", "agent and extender live; a good PodChaperon runs", NEW, POISON),
    _source("taken-name", "the owner's pods", "C4", "a PodChaperon with the name of a pod of the owner's", "that pod is not adopted, deleted, nor shown", NEW, "test_source_poison::test_a_chaperon_with_the_name_of_the_owners_pod"),
    _source("finalizer", "the owner's way out", "S3", "a PodChaperon with a finalizer that nobody takes off", "deleting it ends its pod all the same", NEW, "test_source_poison::test_a_chaperon_that_cannot_go_ends_its_pod"),
    _source("long-hold", "the owner's room", "M4 S1", "PodChaperons that take all room and are never allowed", "the owner's own pods run", NEW, "test_source_poison::test_holds_do_not_keep_the_owner_out"),
    _source("foreign-annotation", "the owner's add-ons", "T5", "a PodChaperon with a mesh's and a network's annotation under their own keys", "they are not on its pod", NEW, "test_source_poison::test_annotations_of_the_owners_add_ons"),
)
