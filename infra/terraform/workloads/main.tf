# What is in the cluster. A root of its own: kubernetes_manifest asks the cluster what each kind looks
# like when it plans, so the cluster has to be there first.

provider "google" {
  project = var.project_id
}

data "google_client_config" "this" {}

data "google_container_cluster" "this" {
  name     = var.cluster_name
  location = var.cluster_location

  lifecycle {
    postcondition {
      condition     = try(self.control_plane_endpoints_config[0].dns_endpoint_config[0].allow_external_traffic, false)
      error_message = "The cluster's DNS endpoint takes no traffic from outside: allow_external_traffic must be true."
    }
  }
}

# The DNS endpoint's certificate is a public one: no CA of the cluster's, which would not fit it.
provider "kubernetes" {
  host  = "https://${data.google_container_cluster.this.control_plane_endpoints_config[0].dns_endpoint_config[0].endpoint}"
  token = data.google_client_config.this.access_token
}

module "objects" {
  source = "./objects"

  namespace                 = var.namespace
  service_account           = var.service_account
  pod_template              = var.pod_template
  priority_class            = var.priority_class
  preemption_policy         = var.preemption_policy
  cluster_role              = var.cluster_role
  max_session               = var.max_session
  quota                     = var.quota
  functions_in_cluster      = var.functions_in_cluster
  function_service_accounts = var.function_service_accounts
}

resource "kubernetes_manifest" "namespace" {
  manifest = module.objects.namespace
}

resource "kubernetes_manifest" "object" {
  for_each = module.objects.objects

  manifest = each.value

  depends_on = [kubernetes_manifest.namespace]
}
