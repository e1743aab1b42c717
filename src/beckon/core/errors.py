"""What can go wrong, in four kinds, told apart by what one can do about them.

=================  ==================================================================
``Refused``        it will never work as it is: the request, the number, the content
``Unavailable``    it may work later: ``retry_after_s`` says when, where that is known
``Unsupported``    this channel can't say this; another one may
``Misconfigured``  the operator must act: a wrong key, an unapproved template
=================  ==================================================================

Every error has a ``code`` (lower case, dotted, stable: the docs have a paragraph for each), one sentence ``why``
and, where a field is to blame, its path in ``field`` (``data.contact.phone``).
"""


class BeckonError(Exception):
    """The common ancestor; only the four kinds are raised."""

    kind = "error"

    def __init__(self, code: str, why: str, *, field: str | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.field = field

    def __str__(self) -> str:
        return f"{self.why} [{self.code}]"


class Refused(BeckonError):
    """It will never work as it is."""

    kind = "refused"

    def __init__(self, code: str, why: str, *, field: str | None = None, gone: bool = False) -> None:
        super().__init__(code, why, field=field)
        #: True where the address is nobody's any more (an app that was removed): it is not tried again, by any message.
        self.gone = gone


class Unavailable(BeckonError):
    """It may work later."""

    kind = "unavailable"

    def __init__(self, code: str, why: str, *, retry_after_s: float | None = None, doubtful: bool = False) -> None:
        super().__init__(code, why)
        self.retry_after_s = retry_after_s
        #: True where the other side may have done it all the same (a time-out after the request was written).
        self.doubtful = doubtful


class Unsupported(BeckonError):
    """This channel can't say this."""

    kind = "unsupported"


class Misconfigured(BeckonError):
    """The operator must act."""

    kind = "misconfigured"
