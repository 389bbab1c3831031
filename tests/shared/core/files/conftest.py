from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pod_scripts import SHELLS, Pod


@pytest.fixture(params=SHELLS, ids=lambda tools: tools.name)
def pod(request: pytest.FixtureRequest, tmp_path: Path) -> Pod:
    return Pod(tmp_path, request.param)
