# Images are deployed by digest. What no revision uses goes after a while; the newest stay for rollbacks.

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:Images hold no secrets; Google's own encryption does

  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the functions and of the sessions"

  # Tags may move: an immutable one could not be deleted either, and nothing here goes by tags.

  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"

    most_recent_versions {
      keep_count = 20
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "7776000s"
    }
  }

  depends_on = [google_project_service.api]
}
