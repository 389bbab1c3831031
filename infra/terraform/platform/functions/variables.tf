# What functions/functions.yaml says of each function, held to its rules, with every default.
variable "functions" {
  description = "Functions by folder name: what each serves, who calls it, and its size"
  nullable    = false

  type = map(object({
    routes          = list(string)                 # "METHOD /path/{name}"; {name=**} is the rest of the path
    caller          = optional(string, "client")   # client, operator or scheduler
    kind            = optional(string, "http")     # http or websocket (session affinity)
    cluster         = optional(bool, true)         # connects to the cluster
    writes          = optional(bool, true)         # changes documents of the store
    schedule        = optional(string, "")         # cron, for the caller scheduler
    cpu             = optional(string, "1")        # Cloud Run's notation
    memory          = optional(string, "512Mi")    # Cloud Run's notation
    concurrency     = optional(number, 80)         # requests at once in an instance
    timeout_seconds = optional(number, 300)        # of a request
    min_instances   = optional(number, 0)          # kept warm
    max_instances   = optional(number, 20)         # most at once
    command         = optional(list(string), null) # in place of the image's own
  }))

  validation {
    condition = alltrue(flatten([
      for name, function in var.functions : [
        can(regex("^[a-z][a-z0-9_]*[a-z0-9]$", name)),
        length(function.routes) > 0,
        [for route in function.routes : can(regex("^(GET|HEAD|POST|PUT|PATCH|DELETE) /[^\\s]*$", route))],
      ]
    ]))
    error_message = "A function is named as its folder, and has routes like \"GET /v1/sessions/{session_id}\"."
  }

  validation {
    condition = alltrue([
      for function in var.functions :
      contains(["client", "operator", "scheduler"], function.caller) && contains(["http", "websocket"], function.kind)
    ])
    error_message = "The caller is client, operator or scheduler; the kind is http or websocket."
  }

  validation {
    condition = alltrue([
      for function in var.functions : (function.caller == "scheduler") == can(regex("^\\S+( \\S+){4}$", function.schedule))
    ])
    error_message = "A function that the scheduler calls has a schedule of five fields; no other has one."
  }

  validation {
    condition = alltrue([
      for function in var.functions :
      function.timeout_seconds >= 1 && function.timeout_seconds <= (function.caller == "scheduler" ? 1800 : 3600)
    ])
    error_message = "A request takes 3600 seconds at most (Cloud Run), a scheduled one 1800 (Cloud Scheduler)."
  }

  validation {
    condition = alltrue([
      for function in var.functions :
      function.min_instances >= 0 && function.max_instances >= 1 && function.min_instances <= function.max_instances
      && function.concurrency >= 1 && function.concurrency <= 1000
    ])
    error_message = "Instances: 0 <= min <= max, max at least 1; concurrency is from 1 to 1000."
  }

  validation {
    condition = alltrue([
      for function in var.functions :
      contains(["1", "2", "4", "6", "8"], function.cpu) && can(regex("^[1-9][0-9]*(Mi|Gi)$", function.memory))
    ])
    error_message = "cpu is 1, 2, 4, 6 or 8; memory is like 512Mi or 1Gi. Less than one CPU would allow one request at a time only."
  }
}
