output "namespace" {
  description = "Namespace of the session pods."
  value       = module.objects.namespace.metadata.name
}

output "environment" {
  description = "Environment variables that make the functions use these objects."
  value       = module.objects.environment
}

output "objects" {
  description = "The objects that are managed, by kind and name."
  value       = sort(concat(["Namespace/${module.objects.namespace.metadata.name}"], keys(module.objects.objects)))
}
