# The cluster's objects, made of the files of infra/kubernetes/. No provider is needed for that: what is
# rendered here can be compared with `make manifests` anywhere.

locals {
  source    = "${path.module}/../../../kubernetes"
  functions = { for name, function in yamldecode(file("${path.module}/../../../../functions/functions.yaml")) : name => function.roles }

  chosen = {
    k8s_namespace         = var.namespace
    k8s_service_account   = var.service_account
    k8s_pod_template      = var.pod_template
    k8s_priority_class    = var.priority_class
    k8s_preemption_policy = var.preemption_policy
    k8s_cluster_role      = var.cluster_role
    max_session_cpu       = var.max_session.cpu
    max_session_memory    = var.max_session.memory
    quota_sessions        = var.quota.sessions == null ? null : tostring(var.quota.sessions)
    quota_cpu             = var.quota.cpu
    quota_memory          = var.quota.memory
    k8s_service_name      = try(var.functions_in_cluster.service_name, null)
    k8s_ingress_host      = try(var.functions_in_cluster.ingress_host, null)
    k8s_ingress_path      = try(var.functions_in_cluster.ingress_path, null)
  }
  values = merge(
    yamldecode(file("${local.source}/defaults.yaml")),
    { for name, value in local.chosen : name => value if value != null },
  )

  roles = toset(flatten(values(local.functions)))
  users = {
    for role in local.roles : role => sort(distinct([
      for function, email in var.function_service_accounts : email if contains(local.functions[function], role)
    ]))
  }
  subjects = {
    for role, users in local.users : "users_of_${replace(role, "-", "_")}" => [
      for user in users : { apiGroup = "rbac.authorization.k8s.io", kind = "User", name = user }
    ]
  }

  # Values are written as JSON, which is YAML: whatever they hold, they stay one value.
  filled = merge(
    { for name, value in local.values : name => jsonencode(value) },
    { for name, subjects in local.subjects : name => jsonencode(subjects) },
  )
  needs = { "service.yaml" = "k8s_service_name", "ingress.yaml" = "k8s_ingress_host" }
  files = [
    for file in sort(fileset("${local.source}/objects", "*.yaml")) : file
    if !contains(keys(local.needs), file) || local.values[lookup(local.needs, file, "k8s_namespace")] != ""
  ]
  documents = flatten([
    for file in local.files : split("\n---\n", templatefile("${local.source}/objects/${file}", local.filled))
  ])
  objects = {
    for document in local.documents :
    "${yamldecode(document).kind}/${yamldecode(document).metadata.name}" => yamldecode(document)
    # A binding of nobody.
    if try(length(yamldecode(document).subjects), 1) > 0
  }
}
