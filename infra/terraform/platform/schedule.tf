# What runs by the clock: a POST to each function of the caller `scheduler`, with a token of the
# scheduler's own account, which the function checks against CLEANUP_CALLERS.

resource "google_cloud_scheduler_job" "function" {
  for_each = { for name, function in local.functions : name => function if function.caller == "scheduler" }

  name             = each.value.service
  region           = coalesce(var.scheduler_region, var.region)
  description      = "Calls ${each.key}"
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "${each.value.timeout_seconds}s"

  # Repeated soon, but never into the next run: the function may be called at any time.
  retry_config {
    retry_count          = 2
    min_backoff_duration = "5s"
    max_backoff_duration = "30s"
    max_doublings        = 2
  }

  http_target {
    http_method = split(" ", each.value.routes[0])[0]
    uri         = "${google_cloud_run_v2_service.function[each.key].uri}${split(" ", each.value.routes[0])[1]}"
    body        = base64encode("{}")

    headers = {
      Content-Type = "application/json"
    }

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = local.audience
    }
  }
}
