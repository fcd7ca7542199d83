"""Plans -> how many tokens a day of them costs, by target. Asks nobody."""

from collections.abc import Iterable
from dataclasses import dataclass

from astrometer.api.chat.chat_turn import TOKENS_PER_TURN
from astrometer.config.settings import Target
from astrometer.probing.budget import DAY_S, Ledger
from astrometer.probing.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyCost:
    """What the scheduled probes of one target cost a day. `source`: whence the cost of a turn is known."""

    target: Target
    turns: float
    tokens_per_turn: float
    source: str

    @property
    def wanted(self) -> int:
        """Tokens a day if no budget held the probes back."""
        return round(self.turns * self.tokens_per_turn)

    @property
    def tokens(self) -> int:
        """Tokens a day within the target's budget."""
        most = self.target.budget.tokens_per_day
        return self.wanted if most is None else min(self.wanted, most)

    @property
    def sentence(self) -> str:
        text = (
            f"{self.target.name}: about {self.wanted:,} tokens a day "
            f"({self.turns:,.0f} turns of {self.tokens_per_turn:,.0f} tokens, {self.source})"
        )
        most = self.target.budget.tokens_per_day
        if most is None:
            return f"{text}; no budget limits it (targets.{self.target.name}.budget.tokens_per_day)"
        if self.wanted <= most:
            return f"{text}, within its budget of {most:,}"
        return (
            f"{text}, more than its budget of {most:,}: runs will be held back to spread it over the day; "
            "raise intervals or the budget"
        )


def once_sentences(plans: Iterable[Plan], ledger: Ledger) -> list[str]:
    """What it costs to run each of the plans once, a line for each target that is asked something."""
    turns: dict[str, int] = {}
    targets: dict[str, Target] = {}
    for plan in plans:
        if plan.missing is None:
            targets[plan.target.name] = plan.target
            turns.setdefault(plan.target.name, 0)
            turns[plan.target.name] += plan.probe.turns if plan.probe.costs_tokens else 0
    return [turns_sentence(targets[name], number, ledger) for name, number in turns.items()]


def turns_sentence(target: Target, turns: int, ledger: Ledger) -> str:
    if not turns:
        return f"{target.name}: costs no tokens"
    each, source = _of_a_turn(target, ledger)
    said = "1 turn" if turns == 1 else f"{turns} turns"
    return f"{target.name}: about {turns * each:,.0f} tokens ({said} of {each:,.0f} tokens, {source})"


def daily_costs(plans: Iterable[Plan], ledger: Ledger) -> list[DailyCost]:
    """Of each target that is asked something that costs tokens, in the order of the plans."""
    turns: dict[str, float] = {}
    targets: dict[str, Target] = {}
    for plan in plans:
        if plan.is_scheduled and plan.probe.costs_tokens:
            name = plan.target.name
            targets[name] = plan.target
            turns[name] = turns.get(name, 0.0) + plan.probe.turns * DAY_S / plan.interval_s
    costs = []
    for name, target in targets.items():
        each, source = _of_a_turn(target, ledger)
        costs.append(DailyCost(target=target, turns=turns[name], tokens_per_turn=each, source=source))
    return costs


def _of_a_turn(target: Target, ledger: Ledger) -> tuple[float, str]:
    measured = ledger.tokens_per_turn(target)
    return (TOKENS_PER_TURN, "assumed") if measured is None else (measured, "measured here")
