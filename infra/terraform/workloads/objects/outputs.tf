output "namespace" {
  description = "The Namespace, which has to be there before the rest."
  value       = local.objects["Namespace/${local.values.k8s_namespace}"]
}

output "objects" {
  description = "All other objects, by kind and name."
  value       = { for key, found in local.objects : key => found if !startswith(key, "Namespace/") }
}

output "environment" {
  description = "Environment variables that make the functions use these objects."
  value = {
    K8S_NAMESPACE       = local.values.k8s_namespace
    K8S_SERVICE_ACCOUNT = local.values.k8s_service_account
    K8S_POD_TEMPLATE    = local.values.k8s_pod_template
    MAX_SESSION_CPU     = local.values.max_session_cpu
    MAX_SESSION_MEMORY  = local.values.max_session_memory
  }
}
