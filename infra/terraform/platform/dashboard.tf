# Where to look: the functions, the sessions, the schedule and the store on one page.

locals {
  charts = [
    {
      title   = "Requests by function"
      filter  = "resource.type=\"cloud_run_revision\" resource.labels.service_name=${local.services} metric.type=\"run.googleapis.com/request_count\""
      aligner = "ALIGN_RATE"
      reducer = "REDUCE_SUM"
      by      = ["resource.labels.service_name"]
    },
    {
      title   = "Answers that are no success"
      filter  = "resource.type=\"cloud_run_revision\" resource.labels.service_name=${local.services} metric.type=\"run.googleapis.com/request_count\" metric.labels.response_code_class!=\"2xx\""
      aligner = "ALIGN_RATE"
      reducer = "REDUCE_SUM"
      by      = ["resource.labels.service_name", "metric.labels.response_code"]
    },
    {
      title   = "Latency, 95th percentile"
      filter  = "resource.type=\"cloud_run_revision\" resource.labels.service_name=${local.services} metric.type=\"run.googleapis.com/request_latencies\""
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_PERCENTILE_95"
      by      = ["resource.labels.service_name"]
    },
    {
      title   = "Instances"
      filter  = "resource.type=\"cloud_run_revision\" resource.labels.service_name=${local.services} metric.type=\"run.googleapis.com/container/instance_count\""
      aligner = "ALIGN_MAX"
      reducer = "REDUCE_SUM"
      by      = ["resource.labels.service_name"]
    },
    {
      title   = "CPU that sessions use"
      filter  = "resource.type=\"k8s_container\" resource.labels.namespace_name=\"${var.namespace}\" metric.type=\"kubernetes.io/container/cpu/core_usage_time\""
      aligner = "ALIGN_RATE"
      reducer = "REDUCE_SUM"
      by      = []
    },
    {
      title   = "Sessions that cannot start"
      filter  = "resource.type=\"cloud_run_revision\" metric.type=\"logging.googleapis.com/user/${google_logging_metric.audit["session_start_failures"].name}\""
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_SUM"
      by      = []
    },
    {
      title   = "Scheduled calls that fail"
      filter  = "resource.type=\"cloud_scheduler_job\" metric.type=\"logging.googleapis.com/user/${google_logging_metric.schedule_failures.name}\""
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_SUM"
      by      = []
    },
    {
      title   = "Firestore: documents written"
      filter  = "resource.type=\"firestore.googleapis.com/Database\" metric.type=\"firestore.googleapis.com/document/write_ops_count\""
      aligner = "ALIGN_RATE"
      reducer = "REDUCE_SUM"
      by      = []
    },
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "GAMGUI sessions (${var.name})"
    gridLayout = {
      columns = "2"
      widgets = [
        for chart in local.charts : {
          title = chart.title
          xyChart = {
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = {
                timeSeriesFilter = {
                  filter = chart.filter
                  aggregation = {
                    alignmentPeriod    = "60s"
                    perSeriesAligner   = chart.aligner
                    crossSeriesReducer = chart.reducer
                    groupByFields      = chart.by
                  }
                }
              }
            }]
          }
        }
      ]
    }
  })
}
