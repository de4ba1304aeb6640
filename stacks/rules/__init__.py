"""Rules between the values of an environment: pure functions, one a rule, grouped by what they are about."""
