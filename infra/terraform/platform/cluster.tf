# One regional cluster. Its control plane is reached by its DNS name only: Google's front end asks
# IAM for container.clusters.connect before anything reaches Kubernetes, and RBAC decides the rest.

locals {
  standard = !var.autopilot
}

resource "google_container_cluster" "this" {
  #checkov:skip=CKV_GCP_12:Dataplane V2 enforces network policies; the older add-on cannot be on beside it
  #checkov:skip=CKV_GCP_20:There is no IP endpoint that networks could be authorized for
  #checkov:skip=CKV_GCP_65:No person has rights in the cluster by RBAC; operators use IAM
  #checkov:skip=CKV_GCP_66:Images are limited by ALLOWED_IMAGES and deployed by digest; an attestor is the organization's to set up
  #checkov:skip=CKV_GCP_69:Autopilot always has GKE's metadata server; the pools below set it

  name       = var.name
  location   = var.region
  network    = google_compute_network.this.id
  subnetwork = google_compute_subnetwork.nodes.id

  deletion_protection = var.deletion_protection
  enable_autopilot    = var.autopilot ? true : null

  # Autopilot has these on, and refuses to be told.
  remove_default_node_pool    = local.standard ? true : null
  initial_node_count          = local.standard ? 1 : null
  enable_shielded_nodes       = local.standard ? true : null
  enable_intranode_visibility = local.standard ? true : null

  networking_mode   = "VPC_NATIVE"
  datapath_provider = "ADVANCED_DATAPATH"

  resource_labels = {
    app         = var.name
    environment = var.environment
  }

  release_channel {
    channel = var.release_channel
  }

  maintenance_policy {
    recurring_window {
      start_time = "2025-01-04T${var.maintenance_start}:00Z"
      end_time   = timeadd("2025-01-04T${var.maintenance_start}:00Z", "6h")
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU"
    }
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes = true
  }

  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }

    ip_endpoints_config {
      enabled = false
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }

  # The pool that a Standard cluster begins with, until it is removed.
  dynamic "node_config" {
    for_each = local.standard ? [true] : []

    content {
      service_account = google_service_account.nodes.email
      oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

      shielded_instance_config {
        enable_secure_boot          = true
        enable_integrity_monitoring = true
      }

      workload_metadata_config {
        mode = "GKE_METADATA"
      }
    }
  }

  # Autopilot makes its nodes itself, with this account.
  dynamic "cluster_autoscaling" {
    for_each = var.autopilot ? [true] : []

    content {
      auto_provisioning_defaults {
        service_account = google_service_account.nodes.email
        oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
      }
    }
  }

  binary_authorization {
    evaluation_mode = "DISABLED"
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_DISABLED"
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]

    managed_prometheus {
      enabled = true
    }
  }

  addons_config {
    gke_backup_agent_config {
      enabled = var.cluster_backup
    }
  }

  dynamic "database_encryption" {
    for_each = var.secrets_key == "" ? [] : [var.secrets_key]

    content {
      state    = "ENCRYPTED"
      key_name = database_encryption.value
    }
  }

  lifecycle {
    # Of the pool that is removed once the cluster is there.
    ignore_changes = [initial_node_count, node_config]
  }

  depends_on = [google_project_service.api]
}

# Kubernetes' own pods and whatever needs no sandbox. A sandboxed pool cannot be the only one.
resource "google_container_node_pool" "system" {
  count = local.standard ? 1 : 0

  name     = "system"
  cluster  = google_container_cluster.this.id
  location = var.region

  initial_node_count = 1

  autoscaling {
    total_min_node_count = 1
    total_max_node_count = 3
    location_policy      = "ANY"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = "e2-standard-2"
    image_type      = "COS_CONTAINERD"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    metadata = {
      disable-legacy-endpoints = "true"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count]
  }
}

# Sessions: every pod with runtimeClassName gvisor. GKE taints the pool for all others.
resource "google_container_node_pool" "sessions" {
  count = local.standard ? 1 : 0

  name     = "sessions"
  cluster  = google_container_cluster.this.id
  location = var.region

  initial_node_count = 0

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = var.session_nodes_max
    location_policy      = "ANY"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = var.session_machine_type
    image_type      = "COS_CONTAINERD"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    metadata = {
      disable-legacy-endpoints = "true"
    }

    sandbox_config {
      type = "GVISOR"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count]
  }
}
