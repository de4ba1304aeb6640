"""What can go wrong on day two, split by who must act. Texts say what is wrong, where, and the way out."""


class FleetError(Exception):
    """The base."""


class RefusedError(FleetError):
    """Who asked must change the request or its files; nothing was done, and asking again changes nothing."""


class WorldMovedError(RefusedError):
    """What a plan was made from is no longer so; nothing was done. Plan again."""


class UnfinishedError(FleetError):
    """Begun and not done: the cloud could not be asked, or said no. What is done stands, and a rerun goes on."""


class BlockedError(UnfinishedError):
    """Begun and not done, and a rerun finds the same: something stands in the way that nobody of ours put there."""
