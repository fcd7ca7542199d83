"""`causes[]` of a results file, a stage or a step -> what tests ask of them."""

from astrometer.measure.slo.cause_sentences import cause_json
from astrometer.measure.slo.validity import Cause, CauseKind

LAG = Cause(kind=CauseKind.LOOP_LAG, value=0.03, limit=0.02)
LAG_JSON = cause_json(LAG)


def kinds(part):
    return [cause["kind"] for cause in part["causes"]]


def sentences(part):
    return [cause["sentence"] for cause in part["causes"]]


def only_generator(part):
    """Whether a better machine would have measured well: nothing else speaks against it."""
    return all(CauseKind(kind).is_generator for kind in kinds(part))
