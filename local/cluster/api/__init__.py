"""The HTTP interface of the cluster: takes requests, and answers with objects and Status errors."""
