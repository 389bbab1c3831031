output "project_id" {
  description = "The project"
  value       = var.project_id
}

output "region" {
  description = "The region"
  value       = var.region
}

output "cluster_name" {
  description = "Name of the cluster"
  value       = google_container_cluster.this.name
}

output "cluster_location" {
  description = "Region of the cluster"
  value       = google_container_cluster.this.location
}

output "namespace" {
  description = "Kubernetes namespace of the sessions"
  value       = var.namespace
}

output "function_service_accounts" {
  description = "E-mail addresses of the functions' service accounts, by function: the users of RBAC"
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "artifact_registry" {
  description = "Where images are: HOST/PROJECT/REPOSITORY"
  value       = local.registry
}

output "url" {
  description = "Where clients call: the load balancer, or with {function} in it the pattern of the functions' own addresses, - for _ in their names"
  value       = local.url
}

output "audience" {
  description = "Audience of the ID tokens that callers send"
  value       = local.audience
}

output "load_balancer_ip" {
  description = "Address that the domain's A record must name; null without a load balancer"
  value       = one(google_compute_global_address.this[*].address)
}

output "build_command" {
  description = "Builds, verifies and deploys what is in the current folder"
  value = join(" ", [
    "gcloud builds submit --project=${var.project_id} --region=${var.region}",
    "--service-account=${google_service_account.build.id}",
    "--gcs-source-staging-dir=${google_storage_bucket.source.url}/source",
    "--substitutions='${join(",", [for name, value in local.substitutions : "${name}=${value}"])}'",
  ])
}

output "kubeconfig_command" {
  description = "Lets kubectl reach the cluster, by its DNS name"
  value       = "gcloud container clusters get-credentials ${google_container_cluster.this.name} --project=${var.project_id} --location=${var.region} --dns-endpoint"
}
