# Neither Google nor a cluster is asked anything: both providers are mocks.

mock_provider "google" {
  mock_data "google_container_cluster" {
    defaults = {
      control_plane_endpoints_config = [{
        dns_endpoint_config = [{
          endpoint                  = "gke-0123456789abcdef-123456789012.europe-west1.gke.goog"
          allow_external_traffic    = true
          enable_k8s_tokens_via_dns = false
          enable_k8s_certs_via_dns  = false
        }]
        ip_endpoints_config = [{ enabled = false }]
      }]
    }
  }
}

mock_provider "kubernetes" {}

variables {
  project_id       = "example-project"
  cluster_name     = "gamgui"
  cluster_location = "europe-west1"
  function_service_accounts = {
    create_session = "create-session@example-project.iam.gserviceaccount.com"
  }
}

run "all_objects_are_managed" {
  command = plan

  assert {
    condition     = kubernetes_manifest.namespace.manifest.metadata.name == "gamgui"
    error_message = "The namespace is not there."
  }

  assert {
    condition = alltrue([
      for key in ["NetworkPolicy/default-deny", "ResourceQuota/sessions", "Role/gam-start-sessions", "RoleBinding/gam-start-sessions"] :
      contains(keys(kubernetes_manifest.object), key)
    ])
    error_message = "Not all objects are managed."
  }

  assert {
    condition     = output.environment.K8S_NAMESPACE == "gamgui"
    error_message = "The functions are not told of the namespace."
  }
}

run "a_project_has_an_id" {
  command = plan

  variables {
    project_id = "Example"
  }

  expect_failures = [var.project_id]
}

run "a_cluster_has_a_name" {
  command = plan

  variables {
    cluster_name = "Cluster 1"
  }

  expect_failures = [var.cluster_name]
}

run "a_cluster_is_in_a_region_or_a_zone" {
  command = plan

  variables {
    cluster_location = "Europe"
  }

  expect_failures = [var.cluster_location]
}

run "somebody_makes_sessions" {
  command = plan

  variables {
    function_service_accounts = {}
  }

  expect_failures = [var.function_service_accounts]
}

run "a_cluster_without_a_dns_endpoint_is_refused" {
  command = plan

  override_data {
    target = data.google_container_cluster.this
    values = {
      control_plane_endpoints_config = [{
        dns_endpoint_config = [{
          endpoint                  = "gke-0123456789abcdef-123456789012.europe-west1.gke.goog"
          allow_external_traffic    = false
          enable_k8s_tokens_via_dns = false
          enable_k8s_certs_via_dns  = false
        }]
        ip_endpoints_config = [{ enabled = true }]
      }]
    }
  }

  expect_failures = [data.google_container_cluster.this]
}
