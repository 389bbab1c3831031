terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "7.45.0"
    }
  }

  # The bucket is named at `terraform init`; see README.md.
  backend "gcs" {
    prefix = "gamgui/platform"
  }
}

provider "google" {
  project = var.project_id
  region  = var.region

  default_labels = {
    app         = var.name
    environment = var.environment
  }
}
