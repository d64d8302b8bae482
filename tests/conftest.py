"""What all tests share: in the gate, hypothesis draws the same examples every time; elsewhere it looks further."""

import os

from hypothesis import Phase, settings

settings.register_profile("gate", derandomize=True)
# For `make mutants`: a mutant is to die fast, and nobody reads how.
settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
if os.environ.get("CI"):
    settings.load_profile("gate")
