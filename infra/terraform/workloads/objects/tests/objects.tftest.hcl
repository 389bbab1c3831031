variables {
  function_service_accounts = {
    create_session = "create-session@demo.iam.gserviceaccount.com"
    exec_command   = "exec-command@demo.iam.gserviceaccount.com"
    health         = "health@demo.iam.gserviceaccount.com"
  }
}

run "what_nobody_chose_is_as_in_the_defaults" {
  command = plan

  assert {
    condition     = output.namespace.metadata.name == "gamgui"
    error_message = "The namespace is not the default one."
  }

  assert {
    condition     = output.objects["ResourceQuota/sessions"].spec.hard.pods == "50"
    error_message = "The quota is not the default one."
  }

  assert {
    condition     = output.objects["PriorityClass/gam-session"].preemptionPolicy == "Never"
    error_message = "Sessions displace other pods though nobody asked for it."
  }

  assert {
    condition     = length([for key in keys(output.objects) : key if can(regex("^(Service|Ingress)/", key))]) == 0
    error_message = "Nobody asked for a Service or an Ingress."
  }
}

run "a_role_is_bound_to_the_functions_that_have_it_and_to_nobody_else" {
  command = plan

  assert {
    condition     = output.objects["RoleBinding/gam-run-commands"].subjects == [{ apiGroup = "rbac.authorization.k8s.io", kind = "User", name = "exec-command@demo.iam.gserviceaccount.com" }]
    error_message = "gam-run-commands is bound to others than exec_command."
  }

  assert {
    condition     = !contains(keys(output.objects), "RoleBinding/gam-clean-up")
    error_message = "A role that no function of this installation has is bound."
  }

  assert {
    condition     = !strcontains(jsonencode(output.objects), "health@")
    error_message = "health needs nothing of the cluster."
  }
}

run "every_choice_is_in_its_place" {
  command = plan

  variables {
    namespace         = "sessions"
    service_account   = "pods"
    pod_template      = "template"
    priority_class    = "people"
    preemption_policy = "PreemptLowerPriority"
    cluster_role      = "see"
    max_session       = { cpu = "4", memory = "8Gi" }
    quota             = { sessions = 3, cpu = "5", memory = "6Gi" }
    functions_in_cluster = {
      service_name = "functions"
      ingress_host = "gam.example.com"
      ingress_path = "/gam"
    }
  }

  assert {
    condition = alltrue([
      output.namespace.metadata.name == "sessions",
      output.objects["ServiceAccount/pods"].metadata.namespace == "sessions",
      output.objects["PodTemplate/template"].template.spec.priorityClassName == "people",
      output.objects["PriorityClass/people"].value == 1000,
      output.objects["PriorityClass/people"].preemptionPolicy == "PreemptLowerPriority",
      output.objects["ClusterRole/see"].rules[0].resourceNames == ["kube-system"],
      output.objects["LimitRange/containers"].spec.limits[0].max == { cpu = "4", memory = "8Gi" },
      output.objects["ResourceQuota/sessions"].spec.hard.pods == "3",
      output.objects["ResourceQuota/sessions"].spec.hard["limits.cpu"] == "5",
      output.objects["ResourceQuota/sessions"].spec.hard["requests.memory"] == "6Gi",
      output.objects["Service/functions"].spec.type == "ClusterIP",
      output.objects["Ingress/functions"].spec.rules[0].host == "gam.example.com",
      output.objects["Ingress/functions"].spec.rules[0].http.paths[0].path == "/gam",
      output.environment.K8S_POD_TEMPLATE == "template",
    ])
    error_message = "A choice is not where it belongs."
  }
}
