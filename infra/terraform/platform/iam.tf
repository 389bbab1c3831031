# Every function, the nodes, the scheduler, the pipeline and its test client: an account each, with
# nothing but what it needs. No account has a predefined container.* role in the project that could
# act on Kubernetes objects: GKE asks IAM when RBAC says no, so such a role would pass by RBAC.

locals {
  # By keys that are known before anything is made.
  invokers = merge(
    { for member in var.invokers : member => member },
    { verifier = google_service_account.verifier.member },
  )

  # Whom Cloud Run lets through, by function: clients and operators where it asks IAM at all, and
  # Identity-Aware Proxy's own account where callers come through the proxy.
  invocations = merge(
    {
      for pair in setproduct(keys(local.iam_functions), keys(local.invokers)) :
      "${pair[0]} ${pair[1]}" => { function = pair[0], member = local.invokers[pair[1]] }
    },
    {
      for name in keys(local.iap_functions) :
      "${name} iap" => {
        function = name
        member   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-iap.iam.gserviceaccount.com"
      }
    },
  )
}

resource "google_service_account" "function" {
  for_each = local.functions

  account_id   = each.value.service
  display_name = "Function ${each.key}"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "nodes" {
  account_id   = "${var.name}-nodes"
  display_name = "Nodes of the cluster"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "scheduler" {
  account_id   = "${var.name}-scheduler"
  display_name = "Calls the scheduled functions"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "build" {
  account_id   = "${var.name}-build"
  display_name = "Builds and deploys images"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "check" {
  account_id   = "${var.name}-check"
  display_name = "Tests the source"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "verifier" {
  account_id   = "${var.name}-verifier"
  display_name = "Test client of the pipeline"

  depends_on = [google_project_service.api]
}

# The way to the cluster and no further. What may be done in it is RBAC's to say.
resource "google_project_iam_custom_role" "cluster_connect" {
  role_id     = "${replace(var.name, "-", "_")}_cluster_connect"
  title       = "Connect to GKE clusters"
  description = "Look a cluster up and open a connection; nothing in it is allowed by this."
  permissions = ["container.clusters.connect", "container.clusters.get"]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "cluster_connect" {
  for_each = { for name, function in local.functions : name => function if function.cluster }

  project = var.project_id
  role    = google_project_iam_custom_role.cluster_connect.id
  member  = google_service_account.function[each.key].member
}

# https://cloud.google.com/firestore/docs/security/iam#conditions: of this database only. Who only
# reads may only read.
resource "google_project_iam_member" "store" {
  for_each = local.functions

  project = var.project_id
  role    = each.value.writes ? "roles/datastore.user" : "roles/datastore.viewer"
  member  = google_service_account.function[each.key].member

  condition {
    title      = "${var.name}-database"
    expression = "resource.name == \"projects/${var.project_id}/databases/${var.firestore_database}\""
  }

  depends_on = [google_firestore_database.this]
}

# Logs and metrics of the nodes. Google's least role for them; it says nothing of Kubernetes objects.
resource "google_project_iam_member" "nodes" {
  project = var.project_id
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes_pull" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = local.invocations

  location = var.region
  name     = google_cloud_run_v2_service.function[each.value.function].name
  role     = "roles/run.invoker"
  member   = each.value.member
}
