# Where `gcloud builds submit` puts the source, what the pipeline may do, and the trigger: staging
# builds every push to its branch, production every tag, once somebody has approved it.

resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:Holds source archives for a month; Cloud Audit Logs say who read them
  #checkov:skip=CKV_GCP_78:Every build uploads under a new name; nothing is overwritten

  name                        = "${var.project_id}-${var.name}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  lifecycle_rule {
    condition {
      age = 30
    }

    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_iam_member" "build_source" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# The pipeline tests its source in a build of its own, under an account that could not deploy it.
resource "google_project_iam_member" "check" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.check.member
}

resource "google_storage_bucket_iam_member" "check_source" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.check.member
}

resource "google_service_account_iam_member" "build_checks" {
  service_account_id = google_service_account.check.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}

# gcloud looks at the bucket before it uploads what is to be tested.
resource "google_storage_bucket_iam_member" "build_upload" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.legacyBucketWriter"
  member = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build_push" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

# Submits the build that tests what it has checked out. A build runs as an account that its submitter may use:
# of those there are the functions' and the one without rights, each named below or above.
resource "google_project_iam_member" "build_submits" {
  #checkov:skip=CKV_GCP_49:Cloud Build has no narrower role that submits a build, and grants it for projects only

  project = var.project_id
  role    = "roles/cloudbuild.builds.editor"
  member  = google_service_account.build.member
}

resource "google_project_iam_member" "build" {
  for_each = toset(["roles/logging.logWriter", "roles/ondemandscanning.admin"])

  project = var.project_id
  role    = each.value
  member  = google_service_account.build.member
}

# New revisions of the functions, and nothing of other services in the project.
resource "google_cloud_run_v2_service_iam_member" "build_deploy" {
  for_each = local.functions

  location = var.region
  name     = google_cloud_run_v2_service.function[each.key].name
  role     = "roles/run.developer"
  member   = google_service_account.build.member
}

# A revision runs as its function's account; who deploys it must be allowed to use that account.
resource "google_service_account_iam_member" "build_acts_as" {
  for_each = local.functions

  service_account_id = google_service_account.function[each.key].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}

# The pipeline's test client is an account of its own, of which the pipeline gets ID tokens only.
resource "google_service_account_iam_member" "build_verifies" {
  service_account_id = google_service_account.verifier.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = google_service_account.build.member
}

resource "google_cloudbuild_trigger" "deploy" {
  count = var.build_repository == "" ? 0 : 1

  name            = "${var.name}-${var.environment}"
  location        = var.region
  description     = "Builds, verifies and deploys ${var.environment}"
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.build.id

  repository_event_config {
    repository = var.build_repository

    push {
      branch = var.environment == "staging" ? var.build_ref : null
      tag    = var.environment == "production" ? var.build_ref : null
    }
  }

  approval_config {
    approval_required = var.environment == "production"
  }

  substitutions = local.substitutions
}

locals {
  url = local.balanced ? "https://${var.domain}" : "https://${var.name}-{function}-${data.google_project.this.number}.${var.region}.run.app"

  substitutions = {
    _AUDIENCE = local.audience
    _CHECKER  = google_service_account.check.email
    _NAME     = var.name
    _REGION   = var.region
    _URL      = var.access == "iap" ? "" : local.url # the proxy takes other tokens: see docs/deploy.md
    _VERIFIER = google_service_account.verifier.email
  }
}
