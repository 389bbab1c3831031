"""Which images sessions may have."""

from __future__ import annotations

from shared.settings.setting import SESSION_STORE, Group, StoreKind, setting
from shared.settings.values import require_images


class ImageSettings(Group):
    """Which images sessions may have.

    Raises:
        ConfigurationError: An entry is no name or pattern of an image; names the variable.
    """

    default: str = setting(
        "SESSION_IMAGE", default="", doc="Image of a session that does not ask for another one"
    )
    allowed: tuple[str, ...] = setting(
        "ALLOWED_IMAGES",
        default=(),
        doc="Images a session may ask for beside SESSION_IMAGE, comma-separated; at the end, behind `/`, `:` "
        "or `@`, a `*` stands for any rest; empty: none with Firestore, any with SQLite",
    )
    session_store: StoreKind = SESSION_STORE

    def check(self) -> None:
        """See ``Group``."""
        require_images("ALLOWED_IMAGES", self.allowed)

    @property
    def any_allowed(self) -> bool:
        """Whether a session may have every image: no image is listed, and the store is a laptop's."""
        return not self.allowed and self.session_store == "sqlite"
