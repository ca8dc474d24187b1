"""The one exception hierarchy: each message says what is wrong, the value, and what to do next."""


class TvmGoError(Exception):
    """Base of every error that a user can cause or mend; the command line prints it as one line, exit status 1."""


class UsageError(TvmGoError):
    """A wrong argument: a path, a target, a value out of range. Exit status 2."""


class UnsupportedModelError(TvmGoError):
    """The model holds something that cannot be planned: control flow, dynamic shapes, an unknown operator."""


class PlanError(TvmGoError):
    """A plan is not legal, or does not belong to this model or target."""


class LogError(TvmGoError):
    """A tuning log cannot be read or written."""


class MeasureError(TvmGoError):
    """Measuring is impossible as a whole: no tracker, no free server. One failed kernel is a result instead."""


class TrainingError(TvmGoError):
    """Training cannot go on: a loss or a gradient is no longer finite."""
