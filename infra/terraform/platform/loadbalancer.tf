# One host name for all functions that clients call: https://var.domain. Without a domain each
# function keeps the address that Cloud Run gives it, and nothing here exists.

locals {
  balanced = var.domain != ""

  balanced_functions = local.balanced ? local.client_functions : {}

  # A route of ours is "METHOD /path/{name}"; {name=**} stands for the rest of the path.
  rules = {
    for name, function in local.balanced_functions : name => [
      for route in function.routes : {
        method   = split(" ", route)[0]
        template = replace(split(" ", route)[1], "/\\{[a-z_]+\\}/", "*")
      }
    ]
  }
}

resource "google_compute_global_address" "this" {
  count = local.balanced ? 1 : 0

  name = var.name

  depends_on = [google_project_service.api]
}

resource "google_compute_managed_ssl_certificate" "this" {
  count = local.balanced ? 1 : 0

  name = "${var.name}-${substr(sha256(var.domain), 0, 8)}"

  managed {
    domains = [var.domain]
  }

  # Another domain is another certificate; the old one serves until the new one is attached.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "this" {
  count = local.balanced ? 1 : 0

  name            = var.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_region_network_endpoint_group" "function" {
  for_each = local.balanced_functions

  name                  = each.value.service
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  # By name: a function's own settings name its backend service.
  cloud_run {
    service = each.value.service
  }

  depends_on = [google_project_service.api]
}

resource "google_compute_backend_service" "function" {
  for_each = local.balanced_functions

  name                  = each.value.service
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.this[0].id

  backend {
    group = google_compute_region_network_endpoint_group.function[each.key].id
  }

  log_config {
    enable      = true
    sample_rate = 1
  }

  dynamic "iap" {
    for_each = each.value.iap ? [true] : []

    content {
      enabled = true
    }
  }
}

resource "google_iap_web_backend_service_iam_member" "caller" {
  for_each = {
    for pair in setproduct(keys(local.iap_functions), keys(local.invokers)) :
    "${pair[0]} ${pair[1]}" => { function = pair[0], member = local.invokers[pair[1]] }
  }

  web_backend_service = google_compute_backend_service.function[each.value.function].name
  role                = "roles/iap.httpsResourceAccessor"
  member              = each.value.member
}

resource "google_compute_security_policy" "this" {
  count = local.balanced ? 1 : 0

  name        = var.name
  description = "Bounds the requests of one address"

  rule {
    action      = "throttle"
    priority    = 1000
    description = "Requests of one address in a minute"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"

      rate_limit_threshold {
        count        = var.requests_per_minute
        interval_sec = 60
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 900
    description = "Log4j look-ups (CVE-2021-44228)"

    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary')"
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Default"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_compute_url_map" "this" {
  count = local.balanced ? 1 : 0

  name = var.name

  # What no function serves: any of them answers 404 as all do.
  default_service = values(google_compute_backend_service.function)[0].id

  host_rule {
    hosts        = [var.domain]
    path_matcher = "functions"
  }

  path_matcher {
    name            = "functions"
    default_service = values(google_compute_backend_service.function)[0].id

    dynamic "route_rules" {
      for_each = keys(local.rules)

      content {
        priority = route_rules.key + 1
        service  = google_compute_backend_service.function[route_rules.value].id

        dynamic "match_rules" {
          for_each = local.rules[route_rules.value]

          content {
            path_template_match = match_rules.value.template

            # The method: https://cloud.google.com/load-balancing/docs/url-map-concepts
            header_matches {
              header_name = ":method"
              exact_match = match_rules.value.method
            }
          }
        }
      }
    }
  }
}

resource "google_compute_target_https_proxy" "this" {
  count = local.balanced ? 1 : 0

  name             = var.name
  url_map          = google_compute_url_map.this[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.this[0].id]
  ssl_policy       = google_compute_ssl_policy.this[0].id
}

resource "google_compute_global_forwarding_rule" "https" {
  count = local.balanced ? 1 : 0

  name                  = "${var.name}-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  target                = google_compute_target_https_proxy.this[0].id
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "443"
}

# Who comes without TLS is sent to the same place with it.
resource "google_compute_url_map" "redirect" {
  count = local.balanced ? 1 : 0

  name = "${var.name}-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "PERMANENT_REDIRECT"
    strip_query            = false
  }
}

resource "google_compute_target_http_proxy" "redirect" {
  count = local.balanced ? 1 : 0

  name    = "${var.name}-redirect"
  url_map = google_compute_url_map.redirect[0].id
}

resource "google_compute_global_forwarding_rule" "http" {
  count = local.balanced ? 1 : 0

  name                  = "${var.name}-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  target                = google_compute_target_http_proxy.redirect[0].id
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "80"
}
