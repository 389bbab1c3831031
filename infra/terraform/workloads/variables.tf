# Of the platform: its outputs have the same names.

variable "project_id" {
  description = "Project of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][-a-z0-9]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project's id: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "cluster_name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", var.cluster_name))
    error_message = "cluster_name must be a name as GKE has them: 40 lower-case letters, digits and hyphens at most."
  }
}

variable "cluster_location" {
  description = "Region or zone of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+(-[a-z])?$", var.cluster_location))
    error_message = "cluster_location must be a region or a zone, like europe-west1 or europe-west1-b."
  }
}

variable "function_service_accounts" {
  description = "E-mail address of each function's service account, by the function's name: its user for RBAC."
  type        = map(string)
  nullable    = false

  validation {
    condition     = contains(keys(var.function_service_accounts), "create_session")
    error_message = "function_service_accounts: without create_session there would be no sessions."
  }
}

# The rest is handed on to objects/, which checks it. What is null is as in infra/kubernetes/defaults.yaml.

variable "namespace" {
  description = "Namespace of the session pods. Another one later is a new one: what is in this one goes, credentials included."
  type        = string
  default     = null
}

variable "service_account" {
  description = "Kubernetes service account of the session pods."
  type        = string
  default     = null
}

variable "pod_template" {
  description = "PodTemplate that is merged under every session's pod."
  type        = string
  default     = null
}

variable "priority_class" {
  description = "PriorityClass of the session pods; outside the namespace."
  type        = string
  default     = null
}

variable "preemption_policy" {
  description = "Whether a session that finds no room displaces pods of lower priority: Never, or PreemptLowerPriority."
  type        = string
  default     = null
}

variable "cluster_role" {
  description = "ClusterRole, and its binding, by which the functions see which cluster it is; outside the namespace."
  type        = string
  default     = null
}

variable "max_session" {
  description = "Most that one container may have, as quantities in the form in which Kubernetes shows them (\"2\", not \"2000m\")."
  type = object({
    cpu    = optional(string)
    memory = optional(string)
  })
  default  = {}
  nullable = false
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
}

variable "functions_in_cluster" {
  description = "For installations that run the functions in this namespace: a Service in front of their pods, and with a host an Ingress before it."
  type = object({
    service_name = string
    ingress_host = optional(string)
    ingress_path = optional(string)
  })
  default = null
}
