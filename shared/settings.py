"""All settings, read once from the environment, validated, frozen.

``Settings.from_env`` is the only reader of the environment in ``shared/``. Each
field carries its variable and its meaning as metadata; the table in README.md is
generated from them (``make docs``) and compared in the tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_type_hints

from shared import setting_values
from shared.errors import ConfigurationError

AuthMode = Literal["google", "iap", "dev"]
StoreKind = Literal["sqlite", "firestore"]
GkeEndpoint = Literal["auto", "dns", "private", "public"]
Fallback = Literal["none", "virtual"]

_T = TypeVar("_T")
_SIZES = {"session_cpu": "max_session_cpu", "session_memory": "max_session_memory"}
_TIMES = {"session_ttl_seconds": "max_ttl_seconds", "exec_timeout_seconds": "max_exec_timeout_seconds"}
_LEAST_JOB_DISK = 1024 * 1024


def _setting(env: str, default: _T, doc: str) -> _T:
    value: Any = dataclasses.field(default=default, metadata={"env": env, "doc": doc})
    return value  # type: ignore[no-any-return]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can set. Durations are in seconds, sizes in bytes."""

    auth_mode: AuthMode = _setting(
        "AUTH_MODE",
        "google",
        "Who callers are: `google` (ID token in Authorization), `iap` (Identity-Aware Proxy) "
        "or `dev` (header X-Dev-User; loopback only, never on Cloud Run)",
    )
    auth_audience: str = _setting(
        "AUTH_AUDIENCE", "", "Audience that tokens must carry; required by `google` and `iap`"
    )
    allowed_domains: tuple[str, ...] = _setting(
        "ALLOWED_DOMAINS", (), "Workspace domains whose users may call, comma-separated; empty: any"
    )
    admin_emails: tuple[str, ...] = _setting(
        "ADMIN_EMAILS",
        (),
        "Callers who may list, look at and delete everybody's sessions and read their audit records, "
        "comma-separated; commands, files, jobs and credentials stay their owners'",
    )
    auth_keys_url: str = _setting(
        "AUTH_KEYS_URL", "", "Where the issuer's public keys are, as a JWK set; empty: Google's own address"
    )

    dev_clients: tuple[str, ...] = _setting(
        "DEV_CLIENTS",
        (),
        "Origins of other servers on this machine whose pages may call with `AUTH_MODE=dev`, "
        "comma-separated, e.g. `http://127.0.0.1:3001`",
    )

    session_store: StoreKind = _setting(
        "SESSION_STORE", "firestore", "Where sessions are kept: `firestore` or `sqlite`"
    )
    sqlite_path: str = _setting("SQLITE_PATH", ".local/sessions.db", "File of the SQLite store")
    google_cloud_project: str = _setting(
        "GOOGLE_CLOUD_PROJECT", "", "Project of Firestore and of the cluster; empty: the credentials' own"
    )
    firestore_database: str = _setting("FIRESTORE_DATABASE", "(default)", "Name of the Firestore database")
    firestore_emulator_host: str = _setting(
        "FIRESTORE_EMULATOR_HOST", "", "host:port of Firestore's emulator, in place of the service"
    )

    gke_cluster_name: str = _setting("GKE_CLUSTER_NAME", "", "Cluster to look up through Google's API")
    gke_cluster_location: str = _setting("GKE_CLUSTER_LOCATION", "", "Region or zone of that cluster")
    gke_endpoint: GkeEndpoint = _setting(
        "GKE_ENDPOINT",
        "auto",
        "Control-plane endpoint to use: `auto` (DNS when it takes external traffic, else public IP, "
        "else private IP), `dns`, `private` or `public`",
    )
    gke_api_endpoint: str = _setting(
        "GKE_API_ENDPOINT",
        "",
        "Other address of the GKE API (host:port; http://host:port, without TLS, on loopback only)",
    )
    kubeconfig_base64: str = _setting("KUBECONFIG_BASE64", "", "A kubeconfig file, base64-encoded")
    kubeconfig: str = _setting("KUBECONFIG", "", "Path(s) of kubeconfig files, as kubectl reads them")
    home: str = _setting("HOME", "", "Home folder, for ~/.kube/config")
    kubernetes_service_host: str = _setting(
        "KUBERNETES_SERVICE_HOST", "", "Set by Kubernetes inside a pod: in-cluster connection"
    )
    kubernetes_service_port: str = _setting("KUBERNETES_SERVICE_PORT", "443", "The port beside it")

    k8s_namespace: str = _setting("K8S_NAMESPACE", "gamgui", "Namespace of the session pods")
    k8s_service_account: str = _setting(
        "K8S_SERVICE_ACCOUNT", "", "Service account of the pods (no token is mounted); empty: the default one"
    )
    k8s_pod_template: str = _setting(
        "K8S_POD_TEMPLATE",
        "",
        "Name of a core/v1 PodTemplate in the namespace, merged under our manifest",
    )
    session_image: str = _setting("SESSION_IMAGE", "", "Image of a session that does not ask for another one")
    allowed_images: tuple[str, ...] = _setting(
        "ALLOWED_IMAGES",
        (),
        "Images a session may ask for beside SESSION_IMAGE, comma-separated; at the end, behind `/`, `:` or "
        "`@`, a `*` stands for any rest; empty: none with Firestore, any with SQLite",
    )
    session_runtime_class: str = _setting(
        "SESSION_RUNTIME_CLASS", "", "runtimeClassName of the pods, e.g. gvisor"
    )
    session_cpu: str = _setting("SESSION_CPU", "500m", "CPU of a session that does not say")
    session_memory: str = _setting("SESSION_MEMORY", "512Mi", "Memory of a session that does not say")
    session_disk: str = _setting(
        "SESSION_DISK", "2Gi", "Bound of /workspace, of the home folder, and of /tmp"
    )
    session_disk_request: str = _setting(
        "SESSION_DISK_REQUEST",
        "",
        "Disk that a session's pod asks its node for, at most what its volumes may take; `10Gi` on GKE "
        "Autopilot, which gives no more than that; empty: none is asked for",
    )
    max_session_cpu: str = _setting("MAX_SESSION_CPU", "2", "Most CPU that a session may ask for")
    max_session_memory: str = _setting("MAX_SESSION_MEMORY", "4Gi", "Most memory that a session may ask for")
    session_ttl_seconds: int = _setting("SESSION_TTL_SECONDS", 28800, "Life of a session that does not say")
    max_ttl_seconds: int = _setting("MAX_TTL_SECONDS", 86400, "Longest life that a session may ask for")
    session_idle_seconds: int = _setting(
        "SESSION_IDLE_SECONDS", 3600, "Idle limit of a session that does not say"
    )
    max_sessions_per_owner: int = _setting(
        "MAX_SESSIONS_PER_OWNER", 50, "Sessions of one owner that are pending or running; more are refused"
    )

    cleanup_callers: tuple[str, ...] = _setting(
        "CLEANUP_CALLERS",
        (),
        "E-mail addresses that may call `POST /v1/cleanup`, comma-separated: the scheduler's service account",
    )
    cleanup_seconds: int = _setting(
        "CLEANUP_SECONDS", 120, "Time for one run of cleanup; what is left is for the next"
    )
    orphan_grace_seconds: int = _setting(
        "ORPHAN_GRACE_SECONDS", 600, "Age from which a pod or secret without a session is deleted"
    )
    retention_days: int = _setting(
        "RETENTION_DAYS", 30, "How long a deleted session can still be seen, with its jobs and audit records"
    )
    credentials_retention_days: int = _setting(
        "CREDENTIALS_RETENTION_DAYS",
        90,
        "How long an owner's credentials are kept that are neither put, nor in a session of his",
    )

    exec_timeout_seconds: int = _setting(
        "EXEC_TIMEOUT_SECONDS", 300, "Time a command may take when the request does not say"
    )
    max_exec_timeout_seconds: int = _setting(
        "MAX_EXEC_TIMEOUT_SECONDS", 3300, "Longest time that a request may ask for a command"
    )
    max_execs_per_session: int = _setting(
        "MAX_EXECS_PER_SESSION",
        256,
        "Most commands at once in one session; each instance of the function counts its own",
    )

    job_disk_bytes: int = _setting(
        "JOB_DISK_BYTES",
        256 * 1024 * 1024,
        "Bytes of output kept of one job; when there are more, the oldest go first",
    )
    max_jobs_per_session: int = _setting(
        "MAX_JOBS_PER_SESSION", 12, "Unfinished jobs of one session at once; more are refused with 429"
    )

    max_file_bytes: str = _setting(
        "MAX_FILE_BYTES",
        "2Gi",
        "Largest file, or content of a tar, that may be uploaded, as a Kubernetes quantity",
    )

    request_rate_per_minute: int = _setting(
        "REQUEST_RATE_PER_MINUTE",
        6000,
        "Requests a minute of one caller to one function; more get 429. Each instance counts its own",
    )
    request_burst: int = _setting(
        "REQUEST_BURST", 3000, "Requests at once, before REQUEST_RATE_PER_MINUTE counts"
    )

    use_mock_container_adapter: bool = _setting(
        "USE_MOCK_CONTAINER_ADAPTER", False, "`true`: virtual sessions, no cluster; commands are not executed"
    )
    session_fallback: Fallback = _setting(
        "SESSION_FALLBACK", "none", "`virtual`: create a virtual session when no cluster is reachable"
    )

    otlp_endpoint: str = _setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "Base URL of an OpenTelemetry collector (OTLP over HTTP, port 4318 as a rule) for traces and "
        "metrics; empty: none. Other `OTEL_` variables are read by its SDK",
    )

    k_service: str = _setting("K_SERVICE", "", "Set by Cloud Run: the service's name")
    k_revision: str = _setting("K_REVISION", "", "Set by Cloud Run: the revision's name")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Reads and validates the settings.

        Args:
            environ: The process's environment, or a test's.

        Raises:
            ConfigurationError: A value is malformed, or a required one is missing;
                names the variable.
        """
        types = get_type_hints(cls)
        values: dict[str, Any] = {}
        for spec in dataclasses.fields(cls):
            env = spec.metadata["env"]
            if environ.get(env):
                values[spec.name] = setting_values.parsed(env, environ[env], types[spec.name])
        settings = cls(**values)
        settings._check()
        return settings

    @property
    def on_cloud_run(self) -> bool:
        """Whether this process is a Cloud Run instance."""
        return bool(self.k_service)

    def _check(self) -> None:
        if self.auth_mode == "dev" and self.on_cloud_run:
            raise ConfigurationError(
                "AUTH_MODE=dev trusts a header and refuses to start on Cloud Run; use google or iap",
                variable="AUTH_MODE",
            )
        if self.auth_mode != "dev" and not self.auth_audience:
            raise ConfigurationError(
                f"AUTH_MODE={self.auth_mode} needs AUTH_AUDIENCE", variable="AUTH_AUDIENCE"
            )
        if bool(self.gke_cluster_name) != bool(self.gke_cluster_location):
            missing = "GKE_CLUSTER_LOCATION" if self.gke_cluster_name else "GKE_CLUSTER_NAME"
            raise ConfigurationError(
                f"GKE lookup needs both GKE_CLUSTER_NAME and GKE_CLUSTER_LOCATION; {missing} is not set",
                variable=missing,
            )
        setting_values.require_addresses("ADMIN_EMAILS", self.admin_emails)
        setting_values.require_local_origins("DEV_CLIENTS", self.dev_clients)
        setting_values.require_dns_label("K8S_NAMESPACE", self.k8s_namespace)
        setting_values.require_images("ALLOWED_IMAGES", self.allowed_images)
        bounds = ["session_disk", "max_file_bytes", *_SIZES, *_SIZES.values()]
        if self.session_disk_request:
            bounds.append("session_disk_request")
        sizes = {name: setting_values.size(name.upper(), getattr(self, name)) for name in bounds}
        for low, high in _SIZES.items():
            setting_values.require_order(low.upper(), sizes[low], high.upper(), sizes[high])
        for low, high in _TIMES.items():
            setting_values.require_order(low.upper(), getattr(self, low), high.upper(), getattr(self, high))
        if self.job_disk_bytes < _LEAST_JOB_DISK:
            raise ConfigurationError(
                f"JOB_DISK_BYTES is less than {_LEAST_JOB_DISK}", variable="JOB_DISK_BYTES"
            )
