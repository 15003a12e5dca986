"""Field numbers of the kinds that kubectl, and kwok, send in protobuf.

A line per message: `name:number:type`, where `*` means repeated, a final `!` that Go has a pointer there (so that zero
is not the same as absent), a missing name that the message's members belong to the outer one, and the type `-` that the
field is read and left alone (a status in a new object).
"""

from dataclasses import dataclass

TABLE = """
ObjectMeta name:1 generateName:2 namespace:3 selfLink:4 uid:5 resourceVersion:6 generation:7:int
  creationTimestamp:8:Time deletionTimestamp:9:Time deletionGracePeriodSeconds:10:int! labels:11:map_string
  annotations:12:map_string ownerReferences:13:*OwnerReference finalizers:14:*string managedFields:17:-
OwnerReference kind:1 name:3 uid:4 apiVersion:5 controller:6:bool! blockOwnerDeletion:7:bool!
LabelSelector matchLabels:1:map_string matchExpressions:2:*LabelSelectorRequirement
LabelSelectorRequirement key:1 operator:2 values:3:*string
DeleteOptions gracePeriodSeconds:1:int! preconditions:2:Preconditions orphanDependents:3:bool! propagationPolicy:4
  dryRun:5:*string
Preconditions uid:1 resourceVersion:2
LocalObjectReference name:1
ObjectReference kind:1 namespace:2 name:3 uid:4 apiVersion:5 resourceVersion:6 fieldPath:7
Namespace metadata:1:ObjectMeta spec:2:NamespaceSpec status:3:-
NamespaceSpec finalizers:1:*string
ServiceAccount metadata:1:ObjectMeta secrets:2:*ObjectReference imagePullSecrets:3:*LocalObjectReference
  automountServiceAccountToken:4:bool!
ConfigMap metadata:1:ObjectMeta data:2:map_string binaryData:3:map_bytes immutable:4:bool!
Secret metadata:1:ObjectMeta data:2:map_bytes type:3 stringData:4:map_string immutable:5:bool!
ResourceQuota metadata:1:ObjectMeta spec:2:ResourceQuotaSpec status:3:-
ResourceQuotaSpec hard:1:map_Quantity scopes:2:*string
Service metadata:1:ObjectMeta spec:2:ServiceSpec status:3:-
ServiceSpec ports:1:*ServicePort selector:2:map_string clusterIP:3 type:4 externalIPs:5:*string sessionAffinity:7
  loadBalancerIP:8 externalName:10 externalTrafficPolicy:11 healthCheckNodePort:12:int publishNotReadyAddresses:13:bool
  ipFamilyPolicy:17 clusterIPs:18:*string ipFamilies:19:*string internalTrafficPolicy:22
ServicePort name:1 protocol:2 port:3:int targetPort:4:IntOrString nodePort:5:int appProtocol:6
PodTemplateSpec metadata:1:ObjectMeta spec:2:PodSpec
PodSpec containers:2:*Container restartPolicy:3 terminationGracePeriodSeconds:4:int! activeDeadlineSeconds:5:int!
  dnsPolicy:6 nodeSelector:7:map_string serviceAccountName:8 serviceAccount:9 nodeName:10 hostNetwork:11:bool
  hostPID:12:bool hostIPC:13:bool hostname:16 subdomain:17 schedulerName:19 initContainers:20:*Container
  priorityClassName:24 runtimeClassName:29
Container name:1 image:2 command:3:*string args:4:*string workingDir:5 ports:6:*ContainerPort env:7:*EnvVar
  resources:8:ResourceRequirements terminationMessagePath:13 imagePullPolicy:14 stdin:16:bool stdinOnce:17:bool
  tty:18:bool terminationMessagePolicy:20
ContainerPort name:1 hostPort:2:int containerPort:3:int protocol:4 hostIP:5
EnvVar name:1 value:2
ResourceRequirements limits:1:map_Quantity requests:2:map_Quantity
Deployment metadata:1:ObjectMeta spec:2:DeploymentSpec status:3:-
DeploymentSpec replicas:1:int! selector:2:LabelSelector template:3:PodTemplateSpec strategy:4:DeploymentStrategy
  minReadySeconds:5:int revisionHistoryLimit:6:int! paused:7:bool progressDeadlineSeconds:9:int!
DeploymentStrategy type:1
Job metadata:1:ObjectMeta spec:2:JobSpec status:3:-
JobSpec parallelism:1:int! completions:2:int! activeDeadlineSeconds:3:int! selector:4:LabelSelector
  manualSelector:5:bool! template:6:PodTemplateSpec backoffLimit:7:int! ttlSecondsAfterFinished:8:int! completionMode:9
  suspend:10:bool! backoffLimitPerIndex:12:int! maxFailedIndexes:13:int! podReplacementPolicy:14 managedBy:15
CronJob metadata:1:ObjectMeta spec:2:CronJobSpec status:3:-
CronJobSpec schedule:1 startingDeadlineSeconds:2:int! concurrencyPolicy:3 suspend:4:bool! jobTemplate:5:JobTemplateSpec
  successfulJobsHistoryLimit:6:int! failedJobsHistoryLimit:7:int! timeZone:8
JobTemplateSpec metadata:1:ObjectMeta spec:2:JobSpec
Role metadata:1:ObjectMeta rules:2:*PolicyRule
ClusterRole metadata:1:ObjectMeta rules:2:*PolicyRule aggregationRule:3:AggregationRule
PolicyRule verbs:1:*string apiGroups:2:*string resources:3:*string resourceNames:4:*string nonResourceURLs:5:*string
AggregationRule clusterRoleSelectors:1:*LabelSelector
RoleBinding metadata:1:ObjectMeta subjects:2:*Subject roleRef:3:RoleRef
ClusterRoleBinding metadata:1:ObjectMeta subjects:2:*Subject roleRef:3:RoleRef
RoleRef apiGroup:1 kind:2 name:3
Subject kind:1 apiGroup:2 name:3 namespace:4
Ingress metadata:1:ObjectMeta spec:2:IngressSpec status:3:-
IngressSpec defaultBackend:1:IngressBackend tls:2:*IngressTLS rules:3:*IngressRule ingressClassName:4:string!
IngressBackend resource:3:TypedLocalObjectReference service:4:IngressServiceBackend
TypedLocalObjectReference apiGroup:1:string! kind:2 name:3
IngressServiceBackend name:1 port:2:ServiceBackendPort
ServiceBackendPort name:1 number:2:int
IngressTLS hosts:1:*string secretName:2
IngressRule host:1 :2:IngressRuleValue
IngressRuleValue http:1:HTTPIngressRuleValue
HTTPIngressRuleValue paths:1:*HTTPIngressPath
HTTPIngressPath path:1 backend:2:IngressBackend pathType:3:string!
Eviction metadata:1:ObjectMeta deleteOptions:2:DeleteOptions
PodDisruptionBudget metadata:1:ObjectMeta spec:2:PodDisruptionBudgetSpec status:3:-
PodDisruptionBudgetSpec minAvailable:1:IntOrString! selector:2:LabelSelector maxUnavailable:3:IntOrString!
PriorityClass metadata:1:ObjectMeta value:2:int! globalDefault:3:bool description:4 preemptionPolicy:5
Lease metadata:1:ObjectMeta spec:2:LeaseSpec
LeaseSpec holderIdentity:1:string! leaseDurationSeconds:2:int! acquireTime:3:MicroTime renewTime:4:MicroTime
  leaseTransitions:5:int! strategy:6:string! preferredHolder:7:string!
TokenRequest metadata:1:ObjectMeta spec:2:TokenRequestSpec status:3:-
TokenRequestSpec boundObjectRef:3:BoundObjectReference expirationSeconds:4:int! audiences:1:*string
BoundObjectReference kind:1 apiVersion:2 name:3 uid:4
SelfSubjectReview metadata:1:ObjectMeta status:2:-
SelfSubjectAccessReview metadata:1:ObjectMeta spec:2:SelfSubjectAccessReviewSpec status:3:-
SelfSubjectAccessReviewSpec resourceAttributes:1:ResourceAttributes nonResourceAttributes:2:NonResourceAttributes
ResourceAttributes namespace:1 verb:2 group:3 version:4 resource:5 subresource:6 name:7
NonResourceAttributes path:1 verb:2
SelfSubjectRulesReview metadata:1:ObjectMeta spec:2:SelfSubjectRulesReviewSpec status:3:-
SelfSubjectRulesReviewSpec namespace:1
CertificateSigningRequest metadata:1:ObjectMeta spec:2:CertificateSigningRequestSpec
  status:3:CertificateSigningRequestStatus
CertificateSigningRequestSpec request:1:bytes username:2 uid:3 groups:4:*string usages:5:*string extra:6:-
  signerName:7 expirationSeconds:8:int!
CertificateSigningRequestStatus conditions:1:*CertificateSigningRequestCondition certificate:2:bytes
CertificateSigningRequestCondition type:1 reason:2 message:3 lastUpdateTime:4:Time lastTransitionTime:5:Time status:6
"""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    name: str
    type: str
    is_repeated: bool
    is_pointer: bool


def _parse(table: str) -> dict[str, dict[int, Field]]:
    messages: dict[str, dict[int, Field]] = {}
    fields: dict[int, Field] = {}
    for line in table.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            fields = messages.setdefault(words.pop(0), {})
        for word in words:
            name, number, kind = (*word.split(":"), "string")[:3]
            fields[int(number)] = Field(
                name, kind.strip("*!").replace("map_", "map "), kind.startswith("*"), kind.endswith("!")
            )
    return messages


MESSAGES = _parse(TABLE)
