"""What a hostile target tries: it answers whatever it likes to the agent that asks it."""

from __future__ import annotations

from tests.strangers.attempts.row import Attempt, Origin, Who

NEW, KNOWN = True, False


def _target(id: str, asset: str, rules: str, how: str, must: str, is_new: bool, test: str, origin: Origin = Origin.DOCS) -> Attempt:
    return Attempt(f"target-{id}", Who.TARGET, asset, rules, how, must, is_new, origin, test)


BAD = "test_target_answers::test_a_bad_answer_harms_its_sender_alone"
PROXY = "test_target_lies::test_what_a_target_says_of_a_pod"
NODE = "test_target_lies::test_what_a_target_says_of_itself"
GATEWAY = "test_target_streams::test_what_a_target_answers_to_logs"

FROM_DOCS = (
    _target("gzip-list", "the agent's memory", "T1", "a list of 1 MB of gzip that unpacks to 1 GB", "refused; the Target says why; memory does not grow", KNOWN, BAD),
    _target("deflate-watch", "the agent's memory", "T1", "a watch with Content-Encoding: deflate", "refused as the list is", NEW, BAD),
    _target("big-body", "the agent's memory", "T1", "a list whose body never ends", "cut off at a bound; the Target says so", KNOWN, BAD),
    _target("endless-line", "the agent's memory", "T1", "a watch event without an end of line, for ever", "the watch ends at a bound", NEW, BAD),
    _target("endless-pages", "the agent's memory and time", "T1", "every page of a list names another page", "the list ends at a bound; the Target says so", NEW, BAD),
    _target("foreign-chaperons", "the agent's memory", "T1", "a list of 40 000 PodChaperons that nobody asked for", "other targets' pods run; memory at most doubles", KNOWN, BAD),
    _target("slow-body", "other targets' pods", "T1 F4", "a list that drips one byte a second", "other targets' pods run as usual; the Target is Unreachable", NEW, BAD),
    _target("no-answer", "other targets' pods", "F4", "accepts connections and never answers", "other targets' pods run as usual", KNOWN, BAD),
    _target("redirect-list", "home's inner network", "T7", "a list answered by 302 to an address inside home", "nobody calls that address", KNOWN, BAD),
    _target("redirect-keeps-method", "home's inner network", "T7", "308 for the POST of a PodChaperon, which clients repeat with its body", "nobody calls that address", NEW, BAD),
    _target("headers", "the agent's memory", "T1", "response headers of 1 MB", "refused", NEW, BAD),
    _target("bad-json", "the agent's life", "T1", "a body that is no JSON", "Unreachable with a reason; no traceback in the log", KNOWN, BAD),
    _target("deep-json", "the agent's life", "T1", "a body of 100 000 brackets", "Unreachable with a reason; the agent lives", NEW, BAD),
    _target("items-no-list", "the agent's life", "T1", "`items` is a number, `metadata` a text", "Unreachable with a reason; the agent lives", NEW, BAD),
    _target("big-number", "the agent's life", "T1", "a number of 5 000 digits as a resourceVersion", "the agent lives", NEW, BAD),
    _target("event-shapes", "the agent's life", "T1", "watch events without object, of unknown type, that are no objects", "the agent lives and relists", NEW, BAD),
    _target("watch-storm", "the agent's processor", "T1 M8", "every watch ends at once", "a bounded number of requests a second", NEW, BAD),
    _target("gone-storm", "the agent's processor", "T1 M8", "every watch answers 410, so that all is listed again", "a bounded number of requests a second", NEW, BAD),
    _target("error-page", "home's inner pages", "T1 T9", "an error whose body is a page with a secret in it", "the Target's condition does not quote it", KNOWN, BAD),
    _target("forged-log", "who reads the log", "T1", "an error message with line ends and terminal escapes", "one line of the log, no control characters in the condition", NEW, BAD),
    _target("huge-message", "home's etcd", "T1", "a Status with a message of 2 MB", "the condition has at most 4 KiB of it", KNOWN, BAD),
    _target("vanish", "pods that run elsewhere and there", "S4", "shows no PodChaperons any more, all at once", "no proxy ends; the Target says ChaperonsVanished", NEW, "test_target_lies::test_all_chaperons_gone_at_once"),
    _target("other-cluster", "pods that run there", "S4", "shows another kube-system UID", "nothing is deleted; the Target says ClusterChanged", NEW, "test_target_lies::test_another_cluster_id"),
    _target("pod-ip", "a Service at home", "T4", "podIP and hostIP of its choice in a status", "neither is on the proxy", KNOWN, PROXY),
    _target("own-conditions", "what a proxy says", "C3 T1", "conditions PodScheduled and Reserved in a status", "home's own stay as they are", NEW, PROXY),
    _target("bad-phase", "the agent's queue", "T1", "a phase that does not exist", "the proxy keeps its phase; others go on", NEW, PROXY),
    _target("many-conditions", "home's etcd", "T1", "1 000 conditions of invented types", "a bounded number of them arrives", NEW, PROXY),
    _target("foreign-containers", "what a proxy says", "T1", "statuses of containers that the pod does not have, 500 of them", "none of them arrives", NEW, PROXY),
    _target("big-status", "home's etcd", "T1", "a termination message of 900 KB", "at most 4 KiB of it arrives", KNOWN, PROXY),
    _target("odd-times", "the agent's life", "T1", "times in the years 0 and 9999, and times that are numbers", "the agent lives; the proxy has no such time", NEW, PROXY),
    _target("status-flood", "home's etcd", "T1", "a status that changes as fast as the wire allows", "home's etcd grows by less than 1 MB a pod", KNOWN, "test_target_bounds::test_an_endless_status_costs_home_little"),
    _target("foreign-namespace", "pods of other namespaces", "S5 C4", "an allowed PodChaperon in its namespace `finance`, with the UID of a pod there, behind a Target of `research`", "that pod is not bound there and gets no status from there", NEW, "test_target_lies::test_a_chaperon_of_another_namespace"),
    _target("never-asked", "data policy", "S5", "an allowed PodChaperon with the UID of a pod whose constraints exclude this target", "the pod is not bound there", NEW, "test_target_lies::test_an_allowed_chaperon_that_nobody_asked_for"),
    _target("ends-unallowed", "a pod's end", "C1 T1", "a candidate that was never allowed says Succeeded", "the proxy does not end", NEW, "test_target_lies::test_a_candidate_that_says_it_is_done"),
    _target("parent-path", "other objects at home", "T2", "a PodChaperon whose parent-name is `../../nodes/x`", "no request at home leaves the pods of the namespace; the agent lives", NEW, BAD),
    _target("secret-before-binding", "Secrets of home", "T6", "reserves at once, and waits for Secrets before the pod is bound", "of a pod that runs elsewhere it never sees one", NEW, "test_target_lies::test_no_secret_for_a_target_that_lost"),
    _target("role-labels", "nodes of home", "T1", "a summary with node-role, node-restriction and hostname labels", "the virtual node has none of them", KNOWN, NODE),
    _target("capacity", "scheduling at home", "T1", "a summary with 1P of CPU and a negative number of pods", "capped, or left out", KNOWN, NODE),
    _target("odd-labels", "the virtual node", "T1", "a summary with 5 000 labels, names and values that Kubernetes refuses", "the node is there, with a bounded number of valid ones", NEW, NODE),
    _target("odd-quantities", "the agent's life", "T1", "amounts such as 1E999999999 and a text of 5 000 digits", "the node is there; the agent lives", NEW, NODE),
    _target("summary-flood", "home's etcd", "T1", "a summary that changes as fast as the wire allows", "a bounded number of writes of its Node", NEW, "test_target_bounds::test_an_endless_summary_costs_home_little"),
    _target("logs-redirect", "home's API server, its users", "T7", "logs answered by 302 to an address inside home", "the caller gets an error without a Location; nobody calls that address", NEW, GATEWAY),
    _target("logs-cookies", "clients at home", "T1", "logs with Set-Cookie, Location and Refresh headers", "none of them passes", NEW, GATEWAY),
    _target("logs-endless", "the agent's memory", "T1", "logs that never end, to a caller who reads slowly", "memory does not grow; another target's logs come as usual", NEW, "test_target_streams::test_endless_logs"),
    _target("own-path-delete", "the Target's end", "M7", "says 200 to every DELETE and keeps everything", "other targets' pods are not held up; the Target says what is left", NEW, "test_target_lies::test_deletions_that_delete_nothing"),
    _target("swapped-answer", "which pod is which", "S2", "answers the POST of a PodChaperon with another one's name and UID", "the other one is not touched", NEW, "test_target_lies::test_an_answer_that_is_another_object"),
    _target("renewed-address", "where credentials go", "T7", "hands out a renewed kubeconfig with another server, a program and a proxy", "only a token is taken; the address stays", NEW, "test_target_renewal::test_a_renewal_changes_nothing_but_the_token"),
    _target("renewal-bomb", "the agent's memory", "T1", "hands out a renewed kubeconfig of YAML aliases", "refused; the agent lives; the Secret stays", KNOWN, "test_target_renewal::test_a_renewal_of_aliases"),
    _target("renewal-loop", "home's etcd", "T1", "hands out tokens that are over already, each time another", "the Secret at home is written a bounded number of times", NEW, "test_target_renewal::test_a_renewal_that_never_ends"),
    _target("memory", "the agent's memory", "T1", "all floods at once, for the time of a run with good targets", "peak memory at most twice the same run without", KNOWN, "test_target_bounds::test_memory_and_time_beside_a_hostile_target"),
    _target("time", "other targets' pods", "F4", "the same", "other targets' pods take at most 1.5 times as long", KNOWN, "test_target_bounds::test_memory_and_time_beside_a_hostile_target"),
)
