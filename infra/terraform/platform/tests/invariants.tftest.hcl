# What must hold whatever is set. The provider is a mock: nothing is asked of Google.

mock_provider "google" {}

variables {
  project_id = "example-project"
  region     = "europe-west1"
}

run "by_default" {
  assert {
    condition = alltrue([
      google_container_cluster.this.enable_autopilot,
      google_container_cluster.this.deletion_protection,
      google_container_cluster.this.datapath_provider == "ADVANCED_DATAPATH",
      google_container_cluster.this.private_cluster_config[0].enable_private_nodes,
      google_container_cluster.this.workload_identity_config[0].workload_pool == "example-project.svc.id.goog",
      !google_container_cluster.this.master_auth[0].client_certificate_config[0].issue_client_certificate,
    ])
    error_message = "The cluster is a protected Autopilot one with private nodes, Dataplane V2 and Workload Identity."
  }

  assert {
    condition = (
      google_container_cluster.this.control_plane_endpoints_config[0].dns_endpoint_config[0].allow_external_traffic
      && !google_container_cluster.this.control_plane_endpoints_config[0].ip_endpoints_config[0].enabled
    )
    error_message = "The control plane is reached by its DNS name only."
  }

  assert {
    condition     = length(google_container_node_pool.sessions) + length(google_container_node_pool.system) == 0
    error_message = "Autopilot has no node pools of ours."
  }

  assert {
    condition     = alltrue([for name, service in google_cloud_run_v2_service.function : service.invoker_iam_disabled == (name == "cleanup_sessions")])
    error_message = "Cloud Run asks IAM who calls, but for what the scheduler calls."
  }

  assert {
    condition     = google_cloud_run_v2_service.function["cleanup_sessions"].ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    error_message = "What Cloud Run does not ask IAM about is not reached from outside."
  }

  assert {
    condition     = alltrue([for grant in google_cloud_run_v2_service_iam_member.invoker : !startswith(grant.member, "all")])
    error_message = "Nobody unknown is let in."
  }

  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.invoker) == length(google_cloud_run_v2_service.function) - 1
    error_message = "Without invokers only the pipeline's test client may call."
  }

  assert {
    condition     = length(distinct([for service in google_cloud_run_v2_service.function : service.template[0].service_account])) == length(google_cloud_run_v2_service.function)
    error_message = "Each function has an account of its own."
  }

  assert {
    condition     = !contains(keys(google_project_iam_member.cluster_connect), "list_sessions")
    error_message = "A function that does not connect to the cluster may not."
  }

  assert {
    condition     = toset(google_project_iam_custom_role.cluster_connect.permissions) == toset(["container.clusters.connect", "container.clusters.get"])
    error_message = "The way to the cluster, and nothing in it."
  }

  assert {
    condition     = alltrue([for grant in google_project_iam_member.store : strcontains(grant.condition[0].expression, "projects/example-project/databases/(default)")])
    error_message = "The functions use this database only."
  }

  assert {
    condition = alltrue([
      google_firestore_database.this.delete_protection_state == "DELETE_PROTECTION_ENABLED",
      google_firestore_database.this.deletion_policy == "PREVENT",
      google_firestore_database.this.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED",
      google_firestore_backup_schedule.daily.retention == "1209600s",
    ])
    error_message = "The database is protected, backed up, and can be put back to any minute of a week."
  }

  assert {
    condition     = google_storage_bucket.source.public_access_prevention == "enforced" && google_storage_bucket.source.uniform_bucket_level_access
    error_message = "The source's bucket is never public."
  }

  assert {
    condition = alltrue([
      for service in google_cloud_run_v2_service.function :
      startswith(service.template[0].containers[0].image, "us-docker.pkg.dev/cloudrun/container/hello@sha256:")
    ])
    error_message = "Before the first build the functions are the placeholder."
  }

  assert {
    condition = alltrue([
      length(google_compute_global_address.this) == 0,
      length(google_compute_backend_service.function) == 0,
      length(google_gke_backup_backup_plan.namespace) == 0,
      length(google_cloudbuild_trigger.deploy) == 0,
    ])
    error_message = "What is not asked for is not made."
  }
}

run "the_scheduler_calls_cleanup" {
  assert {
    condition = alltrue([
      google_cloud_scheduler_job.function["cleanup_sessions"].schedule == "*/5 * * * *",
      google_cloud_scheduler_job.function["cleanup_sessions"].attempt_deadline == "180s",
      google_cloud_scheduler_job.function["cleanup_sessions"].retry_config[0].retry_count == 2,
      google_cloud_scheduler_job.function["cleanup_sessions"].http_target[0].http_method == "POST",
      endswith(google_cloud_scheduler_job.function["cleanup_sessions"].http_target[0].uri, "/v1/cleanup"),
      google_cloud_scheduler_job.function["cleanup_sessions"].http_target[0].oidc_token[0].audience == "gamgui-example-project",
    ])
    error_message = "Every five minutes, with a token for the functions' audience, repeated and bounded in time."
  }

  assert {
    condition = one([
      for env in google_cloud_run_v2_service.function["cleanup_sessions"].template[0].containers[0].env : env.value
      if env.name == "CLEANUP_CALLERS"
    ]) == google_service_account.scheduler.email
    error_message = "Cleanup takes calls of the scheduler's account."
  }

  assert {
    condition = alltrue(flatten([
      for name, service in google_cloud_run_v2_service.function : [
        for env in service.template[0].containers[0].env : env.name != "CLEANUP_CALLERS"
      ] if name != "cleanup_sessions"
    ]))
    error_message = "No other function is told whom cleanup trusts."
  }
}

run "a_standard_cluster" {
  variables {
    autopilot = false
  }

  assert {
    condition = alltrue([
      google_container_node_pool.sessions[0].node_config[0].sandbox_config[0].type == "GVISOR",
      google_container_node_pool.sessions[0].node_config[0].workload_metadata_config[0].mode == "GKE_METADATA",
      google_container_node_pool.sessions[0].autoscaling[0].total_min_node_count == 0,
      google_container_cluster.this.remove_default_node_pool,
      google_container_cluster.this.enable_shielded_nodes,
      google_container_cluster.this.datapath_provider == "ADVANCED_DATAPATH",
      length(google_container_cluster.this.cluster_autoscaling) == 0,
    ])
    error_message = "Sessions have a sandboxed pool that scales to nothing; the metadata server is GKE's."
  }
}

run "tokens_are_checked_by_the_functions" {
  variables {
    access          = "token"
    allowed_domains = ["example.com"]
  }

  assert {
    condition = alltrue([
      for name, service in google_cloud_run_v2_service.function :
      service.invoker_iam_disabled == (name != "health")
    ])
    error_message = "Anybody reaches the functions of clients, nobody health."
  }

  assert {
    condition = alltrue([
      for service in google_cloud_run_v2_service.function :
      one([for env in service.template[0].containers[0].env : env.value if env.name == "ALLOWED_DOMAINS"]) == "example.com,example-project.iam.gserviceaccount.com"
    ])
    error_message = "The functions are told whose users to serve, the scheduler and the test client among them."
  }
}

run "a_load_balancer" {
  variables {
    domain   = "gamgui.example.com"
    invokers = ["group:admins@example.com"]
  }

  assert {
    condition = alltrue([
      for name, service in google_cloud_run_v2_service.function : service.ingress == (
        name == "cleanup_sessions" ? "INGRESS_TRAFFIC_INTERNAL_ONLY" :
        name == "health" ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
      )
    ])
    error_message = "There is no way past the load balancer."
  }

  assert {
    condition     = !contains(keys(google_compute_backend_service.function), "cleanup_sessions") && !contains(keys(google_compute_backend_service.function), "health")
    error_message = "Only what clients call is behind the load balancer."
  }

  assert {
    condition     = google_compute_ssl_policy.this[0].min_tls_version == "TLS_1_2" && google_compute_url_map.redirect[0].default_url_redirect[0].https_redirect
    error_message = "TLS 1.2 or newer, always."
  }

  assert {
    condition     = alltrue([for backend in google_compute_backend_service.function : backend.security_policy == google_compute_security_policy.this[0].id])
    error_message = "Every backend has the rate limit."
  }

  assert {
    condition = anytrue(flatten([
      for rule in google_compute_url_map.this[0].path_matcher[0].route_rules : [
        for match in rule.match_rules :
        match.path_template_match == "/v1/sessions/*/files/{path=**}" && match.header_matches[0].exact_match == "PUT"
      ]
    ]))
    error_message = "Routes become templates of paths, with the method."
  }

  assert {
    condition     = output.url == "https://gamgui.example.com"
    error_message = "Clients call the domain."
  }
}

run "identity_aware_proxy" {
  variables {
    domain   = "gamgui.example.com"
    access   = "iap"
    invokers = ["group:admins@example.com"]
  }

  assert {
    condition     = alltrue([for backend in google_compute_backend_service.function : backend.iap[0].enabled])
    error_message = "The proxy stands before every function of clients."
  }

  assert {
    condition = alltrue([
      for name, service in google_cloud_run_v2_service.function :
      one([for env in service.template[0].containers[0].env : env.value if env.name == "AUTH_MODE"]) == (contains(["health", "cleanup_sessions"], name) ? "google" : "iap")
    ])
    error_message = "Functions behind the proxy check its signature, the others ID tokens."
  }

  assert {
    condition = length([
      for grant in google_cloud_run_v2_service_iam_member.invoker : grant
      if grant.name == google_cloud_run_v2_service.function["get_session"].name
    ]) == 1
    error_message = "Only the proxy's own account reaches a function behind it."
  }

  assert {
    condition     = local.substitutions["_URL"] == ""
    error_message = "The pipeline does not roll back what its test client cannot reach."
  }
}

run "a_websocket_function" {
  variables {
    functions = {
      create_session   = { routes = ["POST /v1/sessions"] }
      cleanup_sessions = { routes = ["POST /v1/cleanup"], caller = "scheduler", schedule = "*/5 * * * *" }
      stream = {
        routes          = ["GET /v1/stream"]
        kind            = "websocket"
        timeout_seconds = 3600
        command         = ["serve"]
      }
    }
  }

  assert {
    condition = (
      google_cloud_run_v2_service.function["stream"].template[0].session_affinity
      && !google_cloud_run_v2_service.function["create_session"].template[0].session_affinity
    )
    error_message = "A WebSocket comes back to the instance that it left."
  }
}

run "staging" {
  variables {
    environment      = "staging"
    build_ref        = "^main$"
    build_repository = "projects/p/locations/l/connections/c/repositories/r"
  }

  assert {
    condition = (
      google_cloudbuild_trigger.deploy[0].repository_event_config[0].push[0].branch == "^main$"
      && !google_cloudbuild_trigger.deploy[0].approval_config[0].approval_required
    )
    error_message = "Staging follows its branch."
  }
}

run "production" {
  variables {
    build_repository = "projects/p/locations/l/connections/c/repositories/r"
  }

  assert {
    condition = (
      google_cloudbuild_trigger.deploy[0].repository_event_config[0].push[0].tag != null
      && google_cloudbuild_trigger.deploy[0].approval_config[0].approval_required
    )
    error_message = "Production takes tags, when somebody has approved."
  }
}

run "back_to_nothing" {
  variables {
    deletion_protection = false
  }

  assert {
    condition = alltrue([
      !google_container_cluster.this.deletion_protection,
      google_firestore_database.this.delete_protection_state == "DELETE_PROTECTION_DISABLED",
      google_firestore_database.this.deletion_policy == "DELETE",
      alltrue([for service in google_cloud_run_v2_service.function : !service.deletion_protection]),
    ])
    error_message = "Without protection all can be destroyed."
  }
}
