# The list itself passes every validation, and each refuses what it is there for.

variables {
  functions = yamldecode(file("../../../../functions/functions.yaml"))
}

run "the_list" {
  command = plan

  assert {
    condition = alltrue([
      output.functions["create_session"].caller == "client",
      output.functions["create_session"].timeout_seconds == 600,
      output.functions["get_session"].timeout_seconds == 300,
      !output.functions["list_sessions"].cluster,
      output.functions["cleanup_sessions"].schedule == "*/5 * * * *",
    ])
    error_message = "What the list says of a function holds, and the defaults where it says nothing."
  }
}

run "refuses_with_no_routes" {
  command = plan

  variables {
    functions = { f_x = { routes = [] } }
  }

  expect_failures = [var.functions]
}

run "refuses_with_a_route_without_method" {
  command = plan

  variables {
    functions = { f_x = { routes = ["/v1/x"] } }
  }

  expect_failures = [var.functions]
}

run "refuses_with_an_unknown_caller" {
  command = plan

  variables {
    functions = { f_x = { routes = ["GET /v1/x"], caller = "anybody" } }
  }

  expect_failures = [var.functions]
}

run "refuses_with_an_unknown_kind" {
  command = plan

  variables {
    functions = { f_x = { routes = ["GET /v1/x"], kind = "grpc" } }
  }

  expect_failures = [var.functions]
}

run "refuses_with_scheduled_without_schedule" {
  command = plan

  variables {
    functions = { f_x = { routes = ["POST /v1/x"], caller = "scheduler" } }
  }

  expect_failures = [var.functions]
}

run "refuses_with_a_request_too_long" {
  command = plan

  variables {
    functions = { f_x = { routes = ["GET /v1/x"], timeout_seconds = 3601 } }
  }

  expect_failures = [var.functions]
}

run "refuses_with_more_instances_kept_than_allowed" {
  command = plan

  variables {
    functions = { f_x = { routes = ["GET /v1/x"], min_instances = 3, max_instances = 2 } }
  }

  expect_failures = [var.functions]
}

run "refuses_with_half_a_cpu" {
  command = plan

  variables {
    functions = { f_x = { routes = ["GET /v1/x"], cpu = "0.5" } }
  }

  expect_failures = [var.functions]
}
