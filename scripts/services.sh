# shellcheck shell=bash
# What the scripts share: where the services are, and doing something with all of them at once.

: "${PROJECT:?set PROJECT to the Google Cloud project}"
: "${REGION:?set REGION to the region of the functions, e.g. europe-west1}"
NAME=${NAME:-gamgui}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# services: one service for each folder of functions/, as Terraform names them.
services() {
  local main
  for main in "$ROOT"/functions/*/main.py; do
    main=$(basename "$(dirname "$main")")
    echo "$NAME-${main//_/-}"
  done
}

# run_services COMMAND SERVICE ...: gcloud run services COMMAND, in the project and the region.
run_services() {
  local command=$1
  shift
  gcloud run services "$command" "$@" --project="$PROJECT" --region="$REGION" --quiet
}

# serving SERVICE: the revision that has the traffic.
serving() {
  run_services describe "$1" --format='value(status.traffic[0].revisionName)'
}

# for_all COMMAND ...: runs it with each service as its last argument, all at once; fails if one
# fails, after all have ended.
for_all() {
  local service started="" failed=0
  for service in $(services); do
    "$@" "$service" &
    started="$started $service=$!"
  done
  for service in $started; do
    if ! wait "${service#*=}"; then
      echo "${service%=*}: $1 failed" >&2
      failed=1
    fi
  done
  return "$failed"
}
