"""Day two: routes, releases, rollouts, revocation, lifecycle, reports."""
