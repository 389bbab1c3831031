# Every validation refuses what it is there for.

mock_provider "google" {}

variables {
  project_id = "example-project"
  region     = "europe-west1"
}

run "refuses_project_id" {
  command = plan

  variables {
    project_id = "Example"
  }

  expect_failures = [var.project_id]
}

run "refuses_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "refuses_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "refuses_name" {
  command = plan

  variables {
    name = "a-name-that-is-long"
  }

  expect_failures = [var.name]
}

run "refuses_namespace" {
  command = plan

  variables {
    namespace = "Gam_GUI"
  }

  expect_failures = [var.namespace]
}

run "refuses_release_channel" {
  command = plan

  variables {
    release_channel = "BETA"
  }

  expect_failures = [var.release_channel]
}

run "refuses_maintenance_start" {
  command = plan

  variables {
    maintenance_start = "24:00"
  }

  expect_failures = [var.maintenance_start]
}

run "refuses_session_machine_type" {
  command = plan

  variables {
    session_machine_type = "e2-standard-4"
  }

  expect_failures = [var.session_machine_type]
}

run "refuses_session_nodes_max" {
  command = plan

  variables {
    session_nodes_max = 0
  }

  expect_failures = [var.session_nodes_max]
}

run "refuses_secrets_key" {
  command = plan

  variables {
    secrets_key = "my-key"
  }

  expect_failures = [var.secrets_key]
}

run "refuses_node_range" {
  command = plan

  variables {
    node_range = "10.0.0.0/28"
  }

  expect_failures = [var.node_range]
}

run "refuses_pod_range" {
  command = plan

  variables {
    pod_range = "10.0.0.0"
  }

  expect_failures = [var.pod_range]
}

run "refuses_service_range" {
  command = plan

  variables {
    service_range = "10.0.0.0/33"
  }

  expect_failures = [var.service_range]
}

run "refuses_firestore_database" {
  command = plan

  variables {
    firestore_database = "x"
  }

  expect_failures = [var.firestore_database]
}

run "refuses_firestore_location" {
  command = plan

  variables {
    firestore_location = "Europe"
  }

  expect_failures = [var.firestore_location]
}

run "refuses_backup_retention_days" {
  command = plan

  variables {
    backup_retention_days = 99
  }

  expect_failures = [var.backup_retention_days]
}

run "refuses_image" {
  command = plan

  variables {
    image = "example.com/functions:latest"
  }

  expect_failures = [var.image]
}

run "refuses_allowed_images" {
  command = plan

  variables {
    allowed_images = ["example.com/team*"]
  }

  expect_failures = [var.allowed_images]
}

run "refuses_access" {
  command = plan

  variables {
    access = "public"
  }

  expect_failures = [var.access]
}

run "refuses_access_2" {
  command = plan

  variables {
    access = "iap"
  }

  expect_failures = [var.access]
}

run "refuses_invokers" {
  command = plan

  variables {
    invokers = ["allUsers"]
  }

  expect_failures = [var.invokers]
}

run "refuses_invokers_2" {
  command = plan

  variables {
    invokers = ["allAuthenticatedUsers"]
  }

  expect_failures = [var.invokers]
}

run "refuses_allowed_domains" {
  command = plan

  variables {
    allowed_domains = ["Example.com"]
  }

  expect_failures = [var.allowed_domains]
}

run "refuses_admin_emails" {
  command = plan

  variables {
    admin_emails = ["nobody"]
  }

  expect_failures = [var.admin_emails]
}

run "refuses_auth_audience" {
  command = plan

  variables {
    auth_audience = "a, b"
  }

  expect_failures = [var.auth_audience]
}

run "refuses_settings" {
  command = plan

  variables {
    settings = { AUTH_MODE = "dev" }
  }

  expect_failures = [var.settings]
}

run "refuses_settings_2" {
  command = plan

  variables {
    settings = { CLEANUP_CALLERS = "me@example.com" }
  }

  expect_failures = [var.settings]
}

run "refuses_domain" {
  command = plan

  variables {
    domain = "https://example.com"
  }

  expect_failures = [var.domain]
}

run "refuses_requests_per_minute" {
  command = plan

  variables {
    requests_per_minute = 5
  }

  expect_failures = [var.requests_per_minute]
}

run "refuses_scheduler_region" {
  command = plan

  variables {
    scheduler_region = "nowhere"
  }

  expect_failures = [var.scheduler_region]
}

run "refuses_alert_emails" {
  command = plan

  variables {
    alert_emails = ["nobody"]
  }

  expect_failures = [var.alert_emails]
}

run "refuses_build_repository" {
  command = plan

  variables {
    build_repository = "github.com/o/r"
  }

  expect_failures = [var.build_repository]
}

run "refuses_build_ref" {
  command = plan

  variables {
    build_ref = "main"
  }

  expect_failures = [var.build_ref]
}

run "refuses_tokens_of_anybody" {
  command = plan

  variables {
    access = "token"
  }

  expect_failures = [var.allowed_domains]
}

run "refuses_functions_without_routes" {
  command = plan

  variables {
    functions = { f_x = { caller = "client" } }
  }

  expect_failures = [var.functions]
}
