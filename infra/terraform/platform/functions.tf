# One Cloud Run service per function: the same image, told by FUNCTION_TARGET which function it is.
# The image and the traffic belong to the pipeline (scripts/deploy); all else belongs to Terraform.

# The one list of functions; the module holds it to its rules and knows the defaults.
module "functions" {
  source = "./functions"

  # JSON is YAML, so that the two have one type.
  functions = yamldecode(
    length(var.functions) == 0 ? file("${path.module}/../../../functions/functions.yaml") : jsonencode(var.functions)
  )
}

locals {
  placeholder_image = "us-docker.pkg.dev/cloudrun/container/hello@sha256:9a0e9a5c7a19281e7617991d2fc61809de4973e6e75a10b2f07df3719ffda33c"

  functions = {
    for name, function in module.functions.functions : name => merge(function, {
      service = "${var.name}-${replace(name, "_", "-")}"
      iap     = function.caller == "client" && var.access == "iap"

      # Cloud Run asks IAM who calls, but for two cases. Tokens of clients when `access` is `token`,
      # and the scheduler's, are checked by the function itself: Cloud Run takes the signature off a
      # token in Authorization that it has checked, and the scheduler can send no other one.
      iam = function.caller == "operator" || (function.caller == "client" && var.access != "token")

      ingress = (
        function.caller == "scheduler" ? "INGRESS_TRAFFIC_INTERNAL_ONLY" :
        function.caller == "client" && local.balanced ? "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" :
        "INGRESS_TRAFFIC_ALL"
      )
    })
  }

  client_functions = { for name, function in local.functions : name => function if function.caller == "client" }
  iap_functions    = { for name, function in local.functions : name => function if function.iap }
  iam_functions    = { for name, function in local.functions : name => function if function.iam && !function.iap }

  audience = var.auth_audience == "" ? "${var.name}-${var.project_id}" : var.auth_audience

  # Service accounts of this project are the scheduler and the pipeline's test client.
  domains = (
    length(var.allowed_domains) == 0 ? [] :
    concat(var.allowed_domains, ["${var.project_id}.iam.gserviceaccount.com"])
  )

  environment = {
    SESSION_STORE         = "firestore"
    GOOGLE_CLOUD_PROJECT  = var.project_id
    FIRESTORE_DATABASE    = google_firestore_database.this.name
    GKE_CLUSTER_NAME      = google_container_cluster.this.name
    GKE_CLUSTER_LOCATION  = google_container_cluster.this.location
    GKE_ENDPOINT          = "dns"
    K8S_NAMESPACE         = var.namespace
    ALLOWED_DOMAINS       = join(",", local.domains)
    K8S_SERVICE_ACCOUNT   = "gam-session" # as infra/terraform/workloads names it
    K8S_POD_TEMPLATE      = "gam-session" # likewise
    ADMIN_EMAILS          = join(",", var.admin_emails)
    ALLOWED_IMAGES        = join(",", concat(["${local.registry}/*"], var.allowed_images))
    SESSION_RUNTIME_CLASS = var.sandbox ? "gvisor" : ""
    SESSION_DISK_REQUEST  = var.autopilot ? "10Gi" : "" # Autopilot lets a pod take what it is promised, and no more
  }

  own_environment = {
    for name, function in local.functions : name => {
      FUNCTION_TARGET = name
      FUNCTION_SOURCE = "/app/functions/${name}/main.py"
      AUTH_MODE       = function.iap ? "iap" : "google"
      AUTH_AUDIENCE = (
        function.iap
        ? "/projects/${data.google_project.this.number}/global/backendServices/${google_compute_backend_service.function[name].generated_id}"
        : local.audience
      )
      CLEANUP_CALLERS = function.caller == "scheduler" ? google_service_account.scheduler.email : ""
    }
  }

  registry = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

resource "google_cloud_run_v2_service" "function" {
  for_each = local.functions

  name                 = each.value.service
  location             = var.region
  description          = "Function ${each.key}"
  ingress              = each.value.ingress
  invoker_iam_disabled = !each.value.iam
  deletion_protection  = var.deletion_protection

  # The audience that callers' tokens carry, for all functions the same.
  custom_audiences = [local.audience]

  template {
    service_account                  = google_service_account.function[each.key].email
    timeout                          = "${each.value.timeout_seconds}s"
    max_instance_request_concurrency = each.value.concurrency
    session_affinity                 = each.value.kind == "websocket"
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = each.value.min_instances
      max_instance_count = each.value.max_instances
    }

    containers {
      image   = var.image == "" ? local.placeholder_image : var.image
      command = each.value.command

      ports {
        container_port = 8080
      }

      resources {
        cpu_idle          = true
        startup_cpu_boost = true

        limits = {
          cpu    = each.value.cpu
          memory = each.value.memory
        }
      }

      # In the order of names; empty ones are left out, so that the setting's own default holds.
      dynamic "env" {
        for_each = {
          for name, value in merge(local.environment, var.settings, local.own_environment[each.key]) :
          name => value if value != ""
        }

        content {
          name  = env.key
          value = env.value
        }
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 60

        tcp_socket {
          port = 8080
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [
      client,
      client_version,
      template[0].containers[0].image,
      template[0].revision,
      traffic,
    ]

    precondition {
      condition     = length(each.value.service) <= 30
      error_message = "The name of a function's service account would be longer than 30 characters: choose a shorter name."
    }
  }

  depends_on = [
    google_project_iam_member.cluster_connect,
    google_project_iam_member.store,
  ]
}
