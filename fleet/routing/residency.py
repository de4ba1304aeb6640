"""In which residency a country's data stays.

The EU and the EEA are settled by law. Other countries are told apart only where we serve them; of the rest nothing is
known, and nothing is guessed.

Countries are ISO 3166-1 alpha-2 codes, residencies the values of `stacks.environment.Residency`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_EU_MEMBER_STATES = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
"""The 27 member states (european-union.europa.eu, "EU countries"; Greece is GR in ISO 3166, EL in EU texts)."""
_EEA_BEYOND_THE_EU = "IS LI NO"
"""The EFTA states in the European Economic Area, where the GDPR holds too (Joint Committee Decision 154/2018)."""
_ELSEWHERE = {"US": "US", "AU": "AP", "JP": "AP", "NZ": "AP", "SG": "AP"}
"""Decided by us, a country at a time: add one with the reason in the commit."""

RESIDENCY_OF_COUNTRY: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(f"{_EU_MEMBER_STATES} {_EEA_BEYOND_THE_EU}".split(), "EU") | _ELSEWHERE
)
"""Country to residency; a country that is missing has none that we know."""
