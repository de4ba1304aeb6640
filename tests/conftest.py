"""What every test shares."""

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)  # no test here judges speed
settings.load_profile("shared-machine")
