"""What all tests share: in the gate, hypothesis draws the same examples every time; elsewhere it looks further."""

import os

import pytest
from hypothesis import Phase, settings

settings.register_profile("gate", derandomize=True)
# For `make mutants`: a mutant is to die fast, and nobody reads how.
settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
if os.environ.get("CI"):
    settings.load_profile("gate")


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stores, credentials and locks of tests go to a folder of their own, in this process and those that it starts."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))
