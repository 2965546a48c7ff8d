"""Settings for all tests: hypothesis tries the same examples every time, no test fails for being slow, and the settings
folder is one of their own, not that of whoever runs them."""

from __future__ import annotations

import os
import tempfile

from hypothesis import HealthCheck, settings

settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
os.environ.setdefault("COMICTOOL_CONFIG_DIR", tempfile.mkdtemp(prefix="comictool-tests-"))
