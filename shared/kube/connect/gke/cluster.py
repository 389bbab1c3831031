"""The identity of a GKE cluster, and errors that name it."""

from __future__ import annotations

import dataclasses

from shared.errors import ConnectionFailed
from shared.reasons import Reason


@dataclasses.dataclass(frozen=True, slots=True)
class ClusterId:
    """A cluster's place in Google Cloud."""

    project: str
    location: str
    name: str

    @property
    def path(self) -> str:
        """Google's resource name of the cluster."""
        return f"projects/{self.project}/locations/{self.location}/clusters/{self.name}"

    def failed(
        self, reason: Reason, problem: str, *, retry_after_seconds: float | None = None
    ) -> ConnectionFailed:
        """An error that names the cluster.

        Args:
            reason: The stable reason of the error.
            problem: What is the matter with the cluster and what to do, as the rest of
                a sentence.
            retry_after_seconds: When a repetition may succeed, if that is known.
        """
        return ConnectionFailed(
            f"the GKE cluster {self.name} in {self.location} of project {self.project} {problem}",
            reason=reason,
            retry_after_seconds=retry_after_seconds,
            project=self.project,
            location=self.location,
            cluster=self.name,
        )
