"""An emulator of the Kubernetes API for laptops.

A pod is a folder, and its containers are processes of this machine. The emulator speaks the real protocols
(REST, watch, and exec over WebSocket), so that clients run against it unchanged. It is a development tool: it
isolates nothing.
"""

from .cluster import UNPRIVILEGED_USER, LocalCluster

__all__ = ["UNPRIVILEGED_USER", "LocalCluster"]
