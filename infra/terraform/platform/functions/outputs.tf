output "functions" {
  description = "The functions with every default."
  value       = var.functions
}
