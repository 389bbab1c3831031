# The state: collections sessions, requests, jobs, audit, keys, owners, connections and installation. Queries are
# in shared/store/; a test compares the indexes with them.

locals {
  # Queries on more than one field. Firestore puts the document's name last, in the direction of the
  # last field, as the queries do.
  indexes = {
    sessions-of-owner = {
      collection = "sessions"
      fields     = [["owner", "ASCENDING"], ["created_at", "DESCENDING"]]
    }
    sessions-of-owner-in-state = {
      collection = "sessions"
      fields     = [["owner", "ASCENDING"], ["state", "ASCENDING"], ["created_at", "DESCENDING"]]
    }
    sessions-in-state = {
      collection = "sessions"
      fields     = [["state", "ASCENDING"], ["created_at", "DESCENDING"]]
    }
    jobs-of-session = {
      collection = "jobs"
      fields     = [["session_id", "ASCENDING"], ["created_at", "DESCENDING"]]
    }
    audit-of-session = {
      collection = "audit"
      fields     = [["session_id", "ASCENDING"], ["at", "DESCENDING"]]
    }
  }

  # Documents that Firestore forgets by itself, up to a day after this time, should cleanup not have
  # done it before.
  ttl = {
    requests = "expires_at"
    sessions = "purge_at"
    jobs     = "purge_at"
    audit    = "purge_at"
  }

  # Long or ever-new values that nobody asks for: an index of them costs writes and buys nothing.
  unindexed = {
    sessions    = ["env", "image", "labels", "reason", "write_id"]
    requests    = ["fingerprint", "response", "write_id"]
    jobs        = ["command", "reason", "write_id"]
    audit       = ["detail", "write_id"]
    owners      = ["marks"]
    connections = ["met", "write_id"]
  }

  unindexed_fields = merge([
    for collection, fields in local.unindexed : {
      for field in fields : "${collection}.${field}" => { collection = collection, field = field }
    }
  ]...)
}

resource "google_firestore_database" "this" {
  name                              = var.firestore_database
  location_id                       = coalesce(var.firestore_location, var.region)
  type                              = "FIRESTORE_NATIVE"
  database_edition                  = "STANDARD"
  concurrency_mode                  = "PESSIMISTIC"
  app_engine_integration_mode       = "DISABLED"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = var.deletion_protection ? "PREVENT" : "DELETE"

  depends_on = [google_project_service.api]
}

resource "google_firestore_index" "this" {
  for_each = local.indexes

  database   = google_firestore_database.this.name
  collection = each.value.collection

  dynamic "fields" {
    for_each = each.value.fields

    content {
      field_path = fields.value[0]
      order      = fields.value[1]
    }
  }

  fields {
    field_path = "__name__"
    order      = each.value.fields[length(each.value.fields) - 1][1]
  }
}

resource "google_firestore_field" "ttl" {
  for_each = local.ttl

  database   = google_firestore_database.this.name
  collection = each.key
  field      = each.value

  ttl_config {}
}

resource "google_firestore_field" "unindexed" {
  for_each = local.unindexed_fields

  database   = google_firestore_database.this.name
  collection = each.value.collection
  field      = each.value.field

  index_config {}
}

resource "google_firestore_backup_schedule" "daily" {
  database  = google_firestore_database.this.name
  retention = "${var.backup_retention_days * 86400}s"

  daily_recurrence {}
}
