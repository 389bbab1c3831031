"""The table of resources that the emulator serves."""

from dataclasses import dataclass

_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, as one row of discovery.

    Attributes:
        tracked: Whether the kind counts ``metadata.generation``.
        status: Whether it has a ``status`` subresource.
        connects: Further subresources with their kinds and verbs, as discovery lists them.
        stored: Whether objects are stored; False for reviews.
    """

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    tracked: bool = False
    status: bool = False
    connects: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    stored: bool = True

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The name with the group, as in messages: ``pods``, ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """Singular name as discovery lists it."""
        return self.kind.lower()

    @property
    def verbs(self) -> tuple[str, ...]:
        """Verbs that discovery announces."""
        if not self.stored:
            return ("create",)
        if self.plural == "namespaces":
            return tuple(verb for verb in _ALL_VERBS if verb != "deletecollection")
        return _ALL_VERBS


_RBAC = "rbac.authorization.k8s.io"
_NETWORKING = "networking.k8s.io"
_AUTHORIZATION = "authorization.k8s.io"

NAMESPACES = Resource(
    "namespaces",
    "Namespace",
    namespaced=False,
    short_names=("ns",),
    status=True,
    connects=(("finalize", "Namespace", ("update",)),),
)
NODES = Resource("nodes", "Node", namespaced=False, short_names=("no",), status=True)
PODS = Resource(
    "pods",
    "Pod",
    short_names=("po",),
    categories=("all",),
    tracked=True,
    status=True,
    connects=(("exec", "PodExecOptions", ("create", "get")), ("log", "Pod", ("get",))),
)
SECRETS = Resource("secrets", "Secret")
CONFIG_MAPS = Resource("configmaps", "ConfigMap", short_names=("cm",))
EVENTS = Resource("events", "Event", short_names=("ev",))
SERVICE_ACCOUNTS = Resource(
    "serviceaccounts",
    "ServiceAccount",
    short_names=("sa",),
    connects=(("token", "TokenRequest", ("create",)),),
)
RESOURCE_QUOTAS = Resource("resourcequotas", "ResourceQuota", short_names=("quota",), status=True)
PRIORITY_CLASSES = Resource(
    "priorityclasses",
    "PriorityClass",
    "scheduling.k8s.io",
    namespaced=False,
    short_names=("pc",),
    tracked=True,
)
ROLES = Resource("roles", "Role", _RBAC)
ROLE_BINDINGS = Resource("rolebindings", "RoleBinding", _RBAC)
CLUSTER_ROLES = Resource("clusterroles", "ClusterRole", _RBAC, namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource("clusterrolebindings", "ClusterRoleBinding", _RBAC, namespaced=False)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "selfsubjectaccessreviews", "SelfSubjectAccessReview", _AUTHORIZATION, namespaced=False, stored=False
)
SELF_SUBJECT_RULES_REVIEWS = Resource(
    "selfsubjectrulesreviews", "SelfSubjectRulesReview", _AUTHORIZATION, namespaced=False, stored=False
)
SELF_SUBJECT_REVIEWS = Resource(
    "selfsubjectreviews", "SelfSubjectReview", "authentication.k8s.io", namespaced=False, stored=False
)

SCALED = (("scale", "Scale", ("get", "patch", "update")),)
DEPLOYMENTS = Resource(
    "deployments",
    "Deployment",
    "apps",
    short_names=("deploy",),
    categories=("all",),
    tracked=True,
    status=True,
    connects=SCALED,
)
REPLICA_SETS = Resource(
    "replicasets",
    "ReplicaSet",
    "apps",
    short_names=("rs",),
    categories=("all",),
    tracked=True,
    status=True,
    connects=SCALED,
)
# What subresources take and give.
SCALES = Resource("scales", "Scale", "autoscaling", stored=False)
TOKEN_REQUESTS = Resource("tokenrequests", "TokenRequest", "authentication.k8s.io", stored=False)

RESOURCES: tuple[Resource, ...] = (
    CONFIG_MAPS,
    Resource("endpoints", "Endpoints", short_names=("ep",)),
    EVENTS,
    Resource("limitranges", "LimitRange", short_names=("limits",)),
    NAMESPACES,
    NODES,
    PODS,
    Resource("podtemplates", "PodTemplate", tracked=True),
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource("services", "Service", short_names=("svc",), categories=("all",), status=True),
    DEPLOYMENTS,
    REPLICA_SETS,
    SELF_SUBJECT_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    Resource("ingresses", "Ingress", _NETWORKING, short_names=("ing",), tracked=True, status=True),
    Resource("networkpolicies", "NetworkPolicy", _NETWORKING, short_names=("netpol",), tracked=True),
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    PRIORITY_CLASSES,
    Resource("leases", "Lease", "coordination.k8s.io"),
)

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(resource.group for resource in RESOURCES))

_BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}


def find_resource(group: str, version: str, plural: str) -> Resource | None:
    """Return the resource that a request's path names, or None."""
    return _BY_PATH.get((group, version, plural))
