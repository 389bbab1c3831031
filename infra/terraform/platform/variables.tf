variable "project_id" {
  description = "Google Cloud project that holds everything"
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "region" {
  description = "Region of everything that has one"
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region is named like europe-west1; a zone is not one."
  }
}

variable "environment" {
  description = "What this project is: `production` asks for approval before it deploys, `staging` does not"
  type        = string
  default     = "production"
  nullable    = false

  validation {
    condition     = contains(["production", "staging"], var.environment)
    error_message = "The environment is production or staging."
  }
}

variable "name" {
  description = "Prefix of all names, and the cluster's name"
  type        = string
  default     = "gamgui"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,10}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 12 lower-case letters, digits and hyphens, and begins with a letter: names of service accounts are short."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the sessions; infra/terraform/workloads makes it"
  type        = string
  default     = "gamgui"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace is a DNS label."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the cluster, the database and the functions; set to false and apply before a destroy"
  type        = bool
  default     = true
  nullable    = false
}

variable "autopilot" {
  description = "GKE Autopilot; false: Standard, with a node pool for sandboxed sessions"
  type        = bool
  default     = true
  nullable    = false
}

variable "release_channel" {
  description = "How early the cluster gets Kubernetes versions"
  type        = string
  default     = "REGULAR"
  nullable    = false

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE", "EXTENDED"], var.release_channel)
    error_message = "The release channel is RAPID, REGULAR, STABLE or EXTENDED."
  }
}

variable "maintenance_start" {
  description = "When GKE may begin to upgrade the cluster on Saturdays and Sundays, HH:MM in UTC; it has six hours"
  type        = string
  default     = "02:00"
  nullable    = false

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance_start))
    error_message = "The time is HH:MM, from 00:00 to 23:59."
  }
}

variable "session_machine_type" {
  description = "Machines of the sessions on a Standard cluster; E2 cannot run gVisor"
  type        = string
  default     = "n2d-standard-4"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*-[a-z0-9-]+$", var.session_machine_type)) && !startswith(var.session_machine_type, "e2-")
    error_message = "The machine type is one like n2d-standard-4, and not an E2."
  }
}

variable "session_nodes_max" {
  description = "Most nodes of sessions of a Standard cluster"
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.session_nodes_max >= 1 && var.session_nodes_max <= 100 && floor(var.session_nodes_max) == var.session_nodes_max
    error_message = "The number of nodes is a whole number from 1 to 100."
  }
}

variable "sandbox" {
  description = "Run sessions under gVisor (runtimeClassName gvisor)"
  type        = bool
  default     = true
  nullable    = false
}

variable "secrets_key" {
  description = "Cloud KMS key that encrypts Kubernetes Secrets, as projects/P/locations/L/keyRings/R/cryptoKeys/K; empty: Google's own. GKE's service agent must be allowed to use it"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.secrets_key == "" || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.secrets_key))
    error_message = "The key is projects/P/locations/L/keyRings/R/cryptoKeys/K, or empty."
  }
}

variable "node_range" {
  description = "Addresses of the nodes (IPv4 CIDR)"
  type        = string
  default     = "10.10.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.node_range)) && try(tonumber(split("/", var.node_range)[1]) <= 24, false)
    error_message = "The range is an IPv4 CIDR of /24 or larger."
  }
}

variable "pod_range" {
  description = "Addresses of the pods (IPv4 CIDR); GKE gives each node a /24 or /26 of it"
  type        = string
  default     = "10.20.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.pod_range)) && try(tonumber(split("/", var.pod_range)[1]) <= 20, false)
    error_message = "The range is an IPv4 CIDR of /20 or larger."
  }
}

variable "service_range" {
  description = "Addresses of Kubernetes Services (IPv4 CIDR)"
  type        = string
  default     = "10.30.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.service_range)) && try(tonumber(split("/", var.service_range)[1]) <= 24, false)
    error_message = "The range is an IPv4 CIDR of /24 or larger."
  }
}

variable "firestore_database" {
  description = "Name of the Firestore database"
  type        = string
  default     = "(default)"
  nullable    = false

  validation {
    condition     = var.firestore_database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.firestore_database))
    error_message = "The database is (default), or has 4 to 63 lower-case letters, digits and hyphens."
  }
}

variable "firestore_location" {
  description = "Where Firestore is, e.g. `eur3` or `nam5` to survive the loss of a region; empty: the region. Cannot be changed later"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.firestore_location == "" || can(regex("^(nam[0-9]+|eur[0-9]+|[a-z]+-[a-z]+[0-9]+)$", var.firestore_location))
    error_message = "The location is a region, or a multi-region such as eur3."
  }
}

variable "backup_retention_days" {
  description = "How long daily backups of Firestore, and of the cluster if it has them, are kept"
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 98 && floor(var.backup_retention_days) == var.backup_retention_days
    error_message = "Backups are kept for 1 to 98 days (Firestore's most: 14 weeks)."
  }
}

variable "cluster_backup" {
  description = "Back the namespace's configuration up with Backup for GKE, without Secrets"
  type        = bool
  default     = false
  nullable    = false
}

variable "image" {
  description = "Image that the functions begin with, by digest; empty: Google's public placeholder, which the first build replaces. Later the pipeline decides, and a change here changes nothing"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.image == "" || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image is named by its digest: ...@sha256:..."
  }
}

variable "allowed_images" {
  description = "Images that a session may ask for beside those of this project's registry; at the end, behind /, : or @, a * stands for any rest"
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for image in var.allowed_images : can(regex("^([^,\\s*]+|[^,\\s*]+[/:@]\\*)$", image))])
    error_message = "An image has no comma, no space, and a * only at its end, behind /, : or @."
  }
}

variable "access" {
  description = "How clients get in: `invokers` (Cloud Run's IAM, then the function), `token` (anybody reaches the function, which checks the ID token) or `iap` (Identity-Aware Proxy; needs `domain`)"
  type        = string
  default     = "invokers"
  nullable    = false

  validation {
    condition     = contains(["invokers", "token", "iap"], var.access)
    error_message = "Access is invokers, token or iap."
  }

  validation {
    condition     = var.access != "iap" || var.domain != ""
    error_message = "Identity-Aware Proxy stands in front of a load balancer: set domain."
  }
}

variable "invokers" {
  description = "Who may call: IAM members such as group:admins@example.com; empty: nobody but the pipeline's test client"
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.invokers : can(regex("^(user|group|serviceAccount|domain|principal|principalSet):.+$", member))])
    error_message = "Members are user:, group:, serviceAccount:, domain:, principal: or principalSet:; never allUsers or allAuthenticatedUsers."
  }
}

variable "allowed_domains" {
  description = "Workspace domains whose users the functions serve; empty: any. The project's own service accounts are added"
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for domain in var.allowed_domains : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", domain))])
    error_message = "Domains are lower case, such as example.com."
  }

  validation {
    condition     = var.access != "token" || length(var.allowed_domains) > 0
    error_message = "With access = token anybody with a Google account would be served: name the domains."
  }
}

variable "admin_emails" {
  description = "Who may look at everybody's sessions and delete them, by e-mail address"
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.admin_emails : can(regex("^[^@\\s,]+@[^@\\s,]+$", email))])
    error_message = "These are not all e-mail addresses."
  }
}

variable "auth_audience" {
  description = "Audience of the ID tokens that callers send, e.g. the client's OAuth client id; empty: NAME-PROJECT"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s,]*$", var.auth_audience))
    error_message = "An audience has no spaces and no commas."
  }
}

variable "settings" {
  description = "More settings of all functions, by the names of the settings table in README.md, e.g. SESSION_TTL_SECONDS"
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^(ALLOWED_IMAGES|CLEANUP_[A-Z_]+|(MAX|SESSION|EXEC|JOB|ORPHAN|RETENTION|REQUEST)_[A-Z_]+|OTEL_[A-Z_]+|K8S_(SERVICE_ACCOUNT|POD_TEMPLATE)|GKE_ENDPOINT)$", name)) && name != "CLEANUP_CALLERS" && name != "SESSION_STORE"])
    error_message = "Only settings of sessions, commands, jobs, files and cleanup; whom a function trusts and where it works is decided here. Secrets do not belong in settings."
  }
}

variable "domain" {
  description = "Host name of an external HTTPS load balancer in front of the functions; empty: none"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.domain == "" || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "The domain is a host name in lower case, such as gamgui.example.com."
  }
}

variable "requests_per_minute" {
  description = "Requests that the load balancer takes from one address in a minute; more get 429"
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.requests_per_minute >= 10 && var.requests_per_minute <= 1000000 && floor(var.requests_per_minute) == var.requests_per_minute
    error_message = "The rate is a whole number from 10 to 1000000."
  }
}

variable "scheduler_region" {
  description = "Region of Cloud Scheduler where the functions' region has none; empty: the same"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.scheduler_region == "" || can(regex("^[a-z]+-[a-z]+[0-9]+$", var.scheduler_region))
    error_message = "A region is named like europe-west1."
  }
}

variable "alert_emails" {
  description = "Who is told when an alert opens; empty: alerts are in the console only"
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "These are not all e-mail addresses."
  }
}

variable "build_repository" {
  description = "Repository that triggers builds, as projects/P/locations/L/connections/C/repositories/R (Cloud Build, 2nd generation); empty: builds are submitted by hand"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.build_repository == "" || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.build_repository))
    error_message = "The repository is projects/P/locations/L/connections/C/repositories/R, or empty."
  }
}

variable "build_ref" {
  description = "Pattern (RE2) of what is built: branches in staging, tags in production"
  type        = string
  default     = "^v[0-9]+\\.[0-9]+\\.[0-9]+$"
  nullable    = false

  validation {
    condition     = startswith(var.build_ref, "^") && endswith(var.build_ref, "$")
    error_message = "The pattern is anchored: ^main$ is one branch, main is every branch with main in its name."
  }
}

variable "functions" {
  description = "Functions in place of those of functions/functions.yaml, with the same fields; empty: those"
  type        = any
  default     = {}
  nullable    = false

  # What each field may be, the module `functions` says.
  validation {
    condition     = can([for function in values(var.functions) : function.routes])
    error_message = "The functions are a map, and each has routes."
  }
}
