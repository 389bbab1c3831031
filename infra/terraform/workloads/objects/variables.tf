# What is null is as in infra/kubernetes/defaults.yaml, which says what each value is for.

variable "namespace" {
  description = "Namespace of the session pods."
  type        = string
  default     = null

  validation {
    condition     = var.namespace == null || can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace must be a DNS label: lower-case letters, digits and hyphens, 63 at most."
  }

  validation {
    condition     = !contains(["default", "kube-system", "kube-public", "kube-node-lease"], coalesce(var.namespace, "gamgui"))
    error_message = "namespace must be one of its own: its policies deny everything else in it."
  }
}

variable "service_account" {
  description = "Kubernetes service account of the session pods."
  type        = string
  default     = null

  validation {
    condition     = var.service_account == null || can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.service_account))
    error_message = "service_account must be a DNS label."
  }

  validation {
    condition     = var.service_account != "default"
    error_message = "service_account must not be \"default\": Kubernetes makes that one itself."
  }
}

variable "pod_template" {
  description = "PodTemplate that is merged under every session's pod."
  type        = string
  default     = null

  validation {
    condition     = var.pod_template == null || can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.pod_template))
    error_message = "pod_template must be a DNS label."
  }
}

variable "priority_class" {
  description = "PriorityClass of the session pods; outside the namespace."
  type        = string
  default     = null

  validation {
    condition = var.priority_class == null || (
      can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.priority_class)) && !startswith(coalesce(var.priority_class, "-"), "system-")
    )
    error_message = "priority_class must be a DNS label that does not begin with \"system-\", which is Kubernetes' own."
  }
}

variable "preemption_policy" {
  description = "Whether a session that finds no room displaces pods of lower priority: Never, or PreemptLowerPriority."
  type        = string
  default     = null

  validation {
    condition     = var.preemption_policy == null || contains(["Never", "PreemptLowerPriority"], coalesce(var.preemption_policy, "-"))
    error_message = "preemption_policy must be Never or PreemptLowerPriority."
  }
}

variable "cluster_role" {
  description = "ClusterRole, and its binding, by which the functions see which cluster it is; outside the namespace."
  type        = string
  default     = null

  validation {
    condition     = var.cluster_role == null || can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.cluster_role))
    error_message = "cluster_role must be a DNS label."
  }
}

variable "max_session" {
  description = "Most that one container may have, as quantities in the form in which Kubernetes shows them (\"2\", not \"2000m\")."
  type = object({
    cpu    = optional(string)
    memory = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for amount in values(var.max_session) : amount == null || can(regex("^[1-9][0-9]*(m|Mi|Gi|Ti)?$", amount))])
    error_message = "max_session: each must be a whole quantity like 2, 500m or 4Gi."
  }
}

variable "quota" {
  description = "Most that all pods together may have; sessions is their number."
  type = object({
    sessions = optional(number)
    cpu      = optional(string)
    memory   = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.quota.sessions == null || try(var.quota.sessions >= 1 && floor(var.quota.sessions) == var.quota.sessions, false)
    error_message = "quota.sessions must be a whole number from 1."
  }

  validation {
    condition = alltrue([
      for amount in [var.quota.cpu, var.quota.memory] : amount == null || can(regex("^[1-9][0-9]*(m|Mi|Gi|Ti)?$", amount))
    ])
    error_message = "quota: cpu and memory must be whole quantities like 25 or 25Gi."
  }
}

variable "functions_in_cluster" {
  description = "For installations that run the functions in this namespace: a Service in front of their pods, and with a host an Ingress before it."
  type = object({
    service_name = string
    ingress_host = optional(string)
    ingress_path = optional(string)
  })
  default = null

  validation {
    condition     = var.functions_in_cluster == null || can(regex("^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", var.functions_in_cluster.service_name))
    error_message = "functions_in_cluster.service_name must be a DNS label that begins with a letter."
  }

  validation {
    condition     = try(var.functions_in_cluster.ingress_host, null) == null || can(regex("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$", var.functions_in_cluster.ingress_host))
    error_message = "functions_in_cluster.ingress_host must be a host name with a domain."
  }

  validation {
    condition     = try(var.functions_in_cluster.ingress_path, null) == null || can(regex("^/", var.functions_in_cluster.ingress_path))
    error_message = "functions_in_cluster.ingress_path must begin with a slash."
  }
}

variable "function_service_accounts" {
  description = "E-mail address of each function's service account, by the function's name: its user for RBAC."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for email in values(var.function_service_accounts) : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "function_service_accounts: each value must be an e-mail address."
  }

  validation {
    condition     = length(setsubtract(keys(var.function_service_accounts), keys(yamldecode(file("${path.module}/../../../../functions/functions.yaml"))))) == 0
    error_message = "function_service_accounts: there is a function that functions/functions.yaml gives no roles (an empty list, if it needs none)."
  }
}
