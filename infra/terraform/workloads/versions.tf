terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "7.45.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "3.2.0"
    }
  }

  # The bucket is named at `terraform init`; see README.md.
  backend "gcs" {
    prefix = "gamgui/workloads"
  }
}
