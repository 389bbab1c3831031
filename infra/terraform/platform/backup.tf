# The namespace as it is configured, without Secrets: credentials of administrators are not copied.
# Firestore's own backups are in firestore.tf.

resource "google_gke_backup_backup_plan" "namespace" {
  count = var.cluster_backup ? 1 : 0

  name     = var.name
  cluster  = google_container_cluster.this.id
  location = var.region

  retention_policy {
    backup_delete_lock_days = 0
    backup_retain_days      = var.backup_retention_days
  }

  backup_schedule {
    cron_schedule = "30 3 * * *"
  }

  backup_config {
    include_volume_data = false
    include_secrets     = false

    selected_namespaces {
      namespaces = [var.namespace]
    }
  }

  depends_on = [google_project_service.api]
}
