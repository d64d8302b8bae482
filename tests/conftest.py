"""What all tests share: in the gate, hypothesis draws the same examples every time; elsewhere it looks further."""

import os

from hypothesis import settings

settings.register_profile("gate", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("gate")
