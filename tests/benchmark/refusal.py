"""Why a run ends without figures."""


class Refused(Exception):
    """Something is wrong, so that no figure of this run may be believed: the message is for whoever started it."""
