variables {
  function_service_accounts = {}
}

run "a_namespace_is_a_dns_label" {
  command = plan

  variables {
    namespace = "Sessions"
  }

  expect_failures = [var.namespace]
}

run "a_namespace_is_not_one_of_kubernetes_own" {
  command = plan

  variables {
    namespace = "kube-system"
  }

  expect_failures = [var.namespace]
}

run "a_service_account_is_a_dns_label" {
  command = plan

  variables {
    service_account = "a_b"
  }

  expect_failures = [var.service_account]
}

run "a_service_account_is_not_the_default_one" {
  command = plan

  variables {
    service_account = "default"
  }

  expect_failures = [var.service_account]
}

run "a_pod_template_is_a_dns_label" {
  command = plan

  variables {
    pod_template = "-"
  }

  expect_failures = [var.pod_template]
}

run "a_priority_class_is_not_kubernetes_own" {
  command = plan

  variables {
    priority_class = "system-node-critical"
  }

  expect_failures = [var.priority_class]
}

run "a_preemption_policy_is_kubernetes_own" {
  command = plan

  variables {
    preemption_policy = "Always"
  }

  expect_failures = [var.preemption_policy]
}

run "what_a_session_may_have_is_a_quantity" {
  command = plan

  variables {
    max_session = { memory = "plenty" }
  }

  expect_failures = [var.max_session]
}

run "sessions_are_counted_in_whole_numbers" {
  command = plan

  variables {
    quota = { sessions = 1.5 }
  }

  expect_failures = [var.quota]
}

run "a_quota_is_a_quantity" {
  command = plan

  variables {
    quota = { memory = "-1Gi" }
  }

  expect_failures = [var.quota]
}

run "a_services_name_begins_with_a_letter" {
  command = plan

  variables {
    functions_in_cluster = { service_name = "1" }
  }

  expect_failures = [var.functions_in_cluster]
}

run "an_ingress_has_a_host_name" {
  command = plan

  variables {
    functions_in_cluster = { service_name = "functions", ingress_host = "https://gam.example.com" }
  }

  expect_failures = [var.functions_in_cluster]
}

run "a_path_begins_with_a_slash" {
  command = plan

  variables {
    functions_in_cluster = { service_name = "functions", ingress_path = "gam" }
  }

  expect_failures = [var.functions_in_cluster]
}

run "a_user_is_an_e_mail_address" {
  command = plan

  variables {
    function_service_accounts = { health = "health" }
  }

  expect_failures = [var.function_service_accounts]
}

run "a_function_without_a_row_is_refused" {
  command = plan

  variables {
    function_service_accounts = { unheard_of = "a@demo.iam.gserviceaccount.com" }
  }

  expect_failures = [var.function_service_accounts]
}
