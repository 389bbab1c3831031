# What tells that something is wrong; dashboard.tf is where to look. Log-based metrics count audit records
# (shared/core/audit/log.py); the others are Google's own.

locals {
  scheduled_functions = [for function in local.functions : function.service if function.caller == "scheduler"]

  # Those that answer at once: the time of the others is the time of what they run or wait for.
  quick_functions = [
    for function in local.client_functions : function.service
    if function.timeout_seconds <= 300 && function.kind == "http"
  ]

  services = "monitoring.regex.full_match(\"${var.name}-.*\")"

  audit_metrics = {
    session_start_failures = {
      outcomes    = ["SESSION_START_FAILED", "POD_SECURITY_VIOLATION", "POD_INVALID", "failed"]
      description = "Sessions whose pod cannot start"
    }
    namespace_quota_refusals = {
      outcomes    = ["NAMESPACE_QUOTA_EXCEEDED"]
      description = "Sessions refused because the namespace's quota is used up"
    }
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = "${var.name}: ${each.value}"
  type         = "email"

  labels = {
    email_address = each.value
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "audit" {
  for_each = local.audit_metrics

  name        = "${var.name}/${each.key}"
  description = each.value.description

  filter = <<-EOT
    resource.type="cloud_run_revision"
    resource.labels.service_name="${local.functions["create_session"].service}"
    jsonPayload.audit.action="session.create"
    jsonPayload.audit.outcome=~"^(${join("|", each.value.outcomes)})$"
  EOT

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "schedule_failures" {
  name        = "${var.name}/schedule_failures"
  description = "Calls of the scheduler that a function did not answer with success"

  filter = <<-EOT
    resource.type="cloud_scheduler_job"
    resource.labels.job_id=~"^${var.name}-"
    severity>=ERROR
  EOT

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "schedule_silent" {
  for_each = toset(local.scheduled_functions)

  display_name          = "${each.value} is silent"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.name]

  conditions {
    display_name = "No success for half an hour"

    condition_absent {
      duration = "1800s"

      filter = join(" AND ", [
        "resource.type = \"cloud_run_revision\"",
        "resource.labels.service_name = \"${each.value}\"",
        "metric.type = \"run.googleapis.com/request_count\"",
        "metric.labels.response_code_class = \"2xx\"",
      ])

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content = "Nothing expires while this lasts, but for the pods' own deadlines. Look at the job in Cloud Scheduler (paused? its last status), then at the service's log."
  }
}

resource "google_monitoring_alert_policy" "counted" {
  for_each = {
    schedule_failures = {
      title  = "Scheduled calls fail"
      metric = google_logging_metric.schedule_failures.name
      type   = "cloud_scheduler_job"
      above  = 2
      doc    = "The last runs of a scheduled function failed. Its log says why; the next run does what is left."
    }
    session_start_failures = {
      title  = "Sessions cannot start"
      metric = google_logging_metric.audit["session_start_failures"].name
      type   = "cloud_run_revision"
      above  = 3
      doc    = "Pods do not start: the reason stands in the audit record and on the session (image, pod security, crash). `kubectl -n ${var.namespace} get events` has the rest."
    }
    namespace_quota_refusals = {
      title  = "The namespace's quota is used up"
      metric = google_logging_metric.audit["namespace_quota_refusals"].name
      type   = "cloud_run_revision"
      above  = 0
      doc    = "`kubectl -n ${var.namespace} describe quota`. Delete sessions, or raise the quota in infra/terraform/workloads."
    }
  }

  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.name]

  conditions {
    display_name = each.value.title

    # In PromQL, as a threshold would ask for a metric that Monitoring knows some minutes after it is
    # made. The name is the metric's, by https://cloud.google.com/monitoring/promql/promql-mapping.
    condition_prometheus_query_language {
      query                     = "sum(increase(logging_googleapis_com:user_${replace(each.value.metric, "/[^a-z0-9_]/", "_")}{monitored_resource=\"${each.value.type}\"}[15m])) > ${each.value.above}"
      duration                  = "0s"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  documentation {
    content = each.value.doc
  }
}

resource "google_monitoring_alert_policy" "errors" {
  display_name          = "${var.name}: functions answer 5xx"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.name]

  conditions {
    display_name = "More than 5 % of a function's answers for five minutes"

    condition_threshold {
      filter             = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = ${local.services} AND metric.type = \"run.googleapis.com/request_count\" AND metric.labels.response_code_class = \"5xx\""
      denominator_filter = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = ${local.services} AND metric.type = \"run.googleapis.com/request_count\""
      comparison         = "COMPARISON_GT"
      threshold_value    = 0.05
      duration           = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }

      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }
    }
  }

  documentation {
    content = "The function `health` says at /readyz whether store and cluster answer, and if not, why. After a deployment: scripts/rollback."
  }
}

resource "google_monitoring_alert_policy" "latency" {
  display_name          = "${var.name}: functions are slow"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.name]

  conditions {
    display_name = "95 % of a quick function's answers take more than 5 s, for ten minutes"

    condition_threshold {
      filter          = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = one_of(${join(",", [for service in local.quick_functions : "\"${service}\""])}) AND metric.type = \"run.googleapis.com/request_latencies\""
      comparison      = "COMPARISON_GT"
      threshold_value = 5000
      duration        = "600s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_PERCENTILE_95"
        group_by_fields      = ["resource.labels.service_name"]
      }
    }
  }

  documentation {
    content = "Cold starts show as cold_start in the request log; if they are the cause, give the function min_instances. Otherwise the latencies of store and cluster are at /readyz."
  }
}

resource "google_monitoring_alert_policy" "quota" {
  display_name          = "${var.name}: a quota of the project is near its end"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.name]

  conditions {
    display_name = "More than 80 % used"

    condition_prometheus_query_language {
      query                     = <<-EOT
        max by (quota_metric, location) (serviceruntime_googleapis_com:quota_allocation_usage{monitored_resource="consumer_quota"})
        / min by (quota_metric, location) (serviceruntime_googleapis_com:quota_limit{monitored_resource="consumer_quota"} > 0)
        > 0.8
      EOT
      duration                  = "600s"
      evaluation_interval       = "300s"
      disable_metric_validation = true
    }
  }

  documentation {
    content = "New nodes or instances will be refused at its end. Ask for more in IAM & Admin, Quotas."
  }

  depends_on = [google_project_service.api]
}
