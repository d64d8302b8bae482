"""Every test here runs on asyncio and on trio, in virtual time, against the fake server in memory."""

from typing import Any

import pytest

from sessionfsm.testing import backend_options


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend_options(request.param)
