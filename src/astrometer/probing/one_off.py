"""One function, one target -> one run, with deadline, cleanup and verdict as a probe file has them."""

from astrometer.config.settings import Target
from astrometer.probing.context import ProbeFunction
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun


async def run_function(
    target: Target,
    name: str,
    function: ProbeFunction,
    timeout_s: float,
    *,
    costs_tokens: bool = False,
    runner: Runner | None = None,
) -> ProbeRun:
    """Run `function` once against `target`. Never raises for a server that does not answer."""
    probe = Probe(
        name=name,
        function=function,
        interval_s=timeout_s,
        scopes=(),
        costs_tokens=costs_tokens,
        summary="",
    )
    plan = Plan(target=target, probe=probe, limits=Limits(total_s=timeout_s))
    return await (runner or Runner()).run(plan)
