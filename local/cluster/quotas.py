"""Writes the status of resource quotas: how much of each is used."""

from .api.admission import quota_key, quota_usage
from .objects.quantities import format_quantity
from .objects.resources import RESOURCE_QUOTAS
from .store import Store


def update_quotas(store: Store, namespace: str) -> None:
    """Bring the status of a namespace's quotas up to date."""
    for quota in store.items(RESOURCE_QUOTAS, namespace):
        where = quota["metadata"]["namespace"]
        hard = (quota.get("spec") or {}).get("hard") or {}
        used = {
            key: format_quantity(quota_usage(store, where, quota_key(key)), str(hard[key])) for key in hard
        }
        status = {"hard": hard, "used": used} if hard else {}
        if quota.get("status") != status:
            store.put(RESOURCE_QUOTAS, {**quota, "status": status})
