locals {
  apis = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "compute.googleapis.com",
      "container.googleapis.com",
      "firestore.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "ondemandscanning.googleapis.com",
      "run.googleapis.com",
    ],
    var.access == "iap" ? ["iap.googleapis.com"] : [],
    var.cluster_backup ? ["gkebackup.googleapis.com"] : [],
  ))
}

resource "google_project_service" "api" {
  for_each = local.apis

  service = each.value

  # Others in the project may use them too.
  disable_on_destroy = false
}

data "google_project" "this" {
  depends_on = [google_project_service.api]
}
