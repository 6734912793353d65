"""Trust: does our standing say who will be trusted, before it is said; and what do standings cost.

``--ratings FILE`` is a history of ratings between strangers (Bitcoin-OTC: 35,592 by 5,881 people). They are fed in
time order as attestations; each is predicted first, by what a hub of the rater's would say of the subject with the same
``judge`` that hubs use, from words at most three steps away from the rater: the subject stands before it (one step),
those who spoke of it (two), who vouches for these (three). What was chosen by trying was chosen on the first half;
figures are of the second. Intervals are bootstrapped over raters, because the ratings of one are not independent.
The scale part has 10,000 identities with ten words each, and networkx beside it where that is installed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.measure import Figure, Outcome, Plan
from benchmarks.ratings import RATING_MAX, Floats, Past, Rating, ranking, read_ratings
from protocol import Bar
from protocol.bars import percentile
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.trust.evidence import Words
from protocol.trust.standing import judge
from protocol.trust.trust import Trust
from protocol.trust.values import DAY_MS, STRENGTH_MAX, Attestation, TrustConfig, TrustState

AUC_AT_LEAST: Final = 0.86
UPDATE_MS: Final = 1.0
FIRST_MS: Final = 150.0
IDENTITIES: Final = 10_000
WORDS_EACH: Final = 10
UPDATES: Final = 2_000
RESAMPLED: Final = 1_000
EVERY_QUICK: Final = 20
ROUNDS_FIRST: Final = 20
"""Of fairness-goodness before the first prediction; then one for each goes on from where it stood."""
NOW_MS: Final = 20_000 * DAY_MS


def measure(plan: Plan) -> Outcome:
    """The scale part, and the ratings if a file was given."""
    bars, figures = _scale(plan)
    if plan.ratings is None:
        figures["ratings"] = "not measured: no --ratings FILE was given"
    else:
        more, beside = _ratings(plan.ratings, EVERY_QUICK if plan.quick else 1)
        bars += more
        figures.update(beside)
    return Outcome(bars, figures)


def name_of(number: int) -> AuthorId:
    """An author's id."""
    return AuthorId(number.to_bytes(32, "big"))


# --- ratings --------------------------------------------------------------------------------------------------------


@dataclass
class Predicted:
    """One entry a case of the second half, in time order."""

    right: list[bool] = field(default_factory=list)
    rater: list[int] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    update_ms: list[float] = field(default_factory=list)

    def add(self, one: Rating, scores: dict[str, float]) -> None:
        """Predicted, and what came."""
        self.right.append(one.rating > 0)
        self.rater.append(one.rater)
        for method, score in scores.items():
            self.scores.setdefault(method, []).append(score)


def _ratings(path: Path, every: int) -> tuple[list[Bar], dict[str, Figure]]:
    ratings = read_ratings(path)
    predicted = predict(ratings, every)
    ours, differences, intervals = compared(predicted)
    best = max(differences, key=lambda method: ours - differences[method])
    bars = [Bar("trust: sign AUC of the standing", ours, AUC_AT_LEAST, "", ours - differences[best], at_most=False)]
    figures: dict[str, Figure] = {"ratings": len(ratings), "predicted in the second half": len(predicted.right)}
    for method, (low, high) in intervals.items():
        bars.append(Bar(f"trust: AUC above {method}'s, low end of 95 %", low, 0.0, "", at_most=False))
        figures[f"AUC of {method}"] = round(ours - differences[method], 4)
        figures[f"AUC above {method}'s, 95 %"] = f"{low:.4f} .. {high:.4f}"
    mean = sum(predicted.update_ms) / len(predicted.update_ms)
    bars.append(Bar("trust: a rating predicted and learnt, mean", mean, UPDATE_MS, "ms"))
    figures["a rating predicted and learnt, p99 ms"] = percentile(predicted.update_ms, 0.99)
    return bars, figures


def predict(ratings: Sequence[Rating], every: int = 1) -> Predicted:
    """Each ``every``-th rating of the second half predicted from the past alone; all are learnt."""
    config = TrustConfig()
    words = Words(len(ratings), len(ratings))
    past = Past(ratings)
    predicted = Predicted()
    half = len(ratings) // 2
    for number, one in enumerate(ratings):
        rater, subject = name_of(one.rater), name_of(one.subject)
        given = Attestation(rater, subject, one.rating * STRENGTH_MAX // RATING_MAX, one.utc_ms, (1, number + 1))
        began = time.process_time()
        value = judge(words, rater, subject, one.utc_ms, config).value
        words.learn(given, one.utc_ms, void=False)
        predicted.update_ms.append((time.process_time() - began) * 1e3)
        if number >= half and number % every == 0:
            for _ in range(1 if predicted.right else ROUNDS_FIRST):
                past.fair_and_good()
            predicted.add(one, {"ours": value, **_others(past, one, config.restart)})
        past.learn(one)
    return predicted


def _others(past: Past, one: Rating, restart: float) -> dict[str, float]:
    """Each published method, where it leaves something open in each way that we can think of."""
    at = past.pagerank(one.rater, restart)
    good = past.goodness[one.subject] if past.rated[one.subject] else None
    fair = float(past.fairness[one.rater])
    return {
        "personalised PageRank": float(at[one.subject]),
        "personalised PageRank of opinions": past.opinions(one.subject, at),
        "fairness-goodness, newcomers 0": 0.0 if good is None else fair * float(good),
        "fairness-goodness, newcomers the mean": fair * float(past.mean if good is None else good),
    }


def compared(predicted: Predicted) -> tuple[float, dict[str, float], dict[str, tuple[float, float]]]:
    """Our AUC, how far it is above each other method's, and the 95 % interval of that."""
    right = np.array(predicted.right)
    raters, owner = np.unique(np.array(predicted.rater), return_inverse=True)
    ranked = {method: ranking(np.array(scores), right) for method, scores in predicted.scores.items()}
    once: Floats = np.ones(len(right))
    whole = {method: one.auc(once) for method, one in ranked.items()}
    others = [method for method in ranked if method != "ours"]
    rng = np.random.default_rng(1)
    drawn: dict[str, list[float]] = {method: [] for method in others}
    for _ in range(RESAMPLED):
        times = np.bincount(rng.integers(0, len(raters), len(raters)), minlength=len(raters))
        weight = times[owner].astype(np.float64)
        ours = ranked["ours"].auc(weight)
        for method in others:
            drawn[method].append(ours - ranked[method].auc(weight))
    intervals = {
        method: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))
        for method, values in drawn.items()
    }
    return whole["ours"], {method: whole["ours"] - whole[method] for method in others}, intervals


# --- scale ----------------------------------------------------------------------------------------------------------


@dataclass
class Taken:
    """Milliseconds of CPU."""

    first_ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    own_ms: list[float] = field(default_factory=list)
    others_ms: list[float] = field(default_factory=list)


def _scale(plan: Plan) -> tuple[list[Bar], dict[str, Figure]]:
    rng = Rng(5)
    taken = Taken()
    graph = [
        _word(tail, rng.below(IDENTITIES), 1 + rng.below(STRENGTH_MAX), turn)
        for turn in range(WORDS_EACH)
        for tail in range(IDENTITIES)
    ]
    for turn in range(plan.repeats):
        trust = Trust(name_of(0), TrustConfig(), Rng(turn))
        trust.start(TrustState(), graph, NOW_MS)
        subject = graph[-1 - turn].subject
        began = time.process_time()
        trust.explain(subject, NOW_MS)
        taken.first_ms.append((time.process_time() - began) * 1e3)
        _updates(trust, rng, taken, plan.count(UPDATES))
        began = time.process_time()
        for number in range(IDENTITIES):
            trust.standing(name_of(number), NOW_MS)
        taken.whole_ms.append((time.process_time() - began) * 1e3)
    theirs = _networkx(graph)
    updates_ms = taken.own_ms + taken.others_ms
    bars = [
        Bar(
            "trust: first standing of 10,000 identities, 100,000 words", median(taken.first_ms), FIRST_MS, "ms", theirs
        ),
        Bar("trust: a word learnt, mean", sum(updates_ms) / len(updates_ms), UPDATE_MS, "ms", theirs),
    ]
    figures: dict[str, Figure] = {
        "another's word learnt, p99 ms": percentile(taken.others_ms, 0.99),
        "one's own word learnt, p50 ms": percentile(taken.own_ms, 0.5),
        "one's own word learnt, p99 ms": percentile(taken.own_ms, 0.99),
        "standings of all 10,000 ms": round(median(taken.whole_ms), 1),
        "networkx pagerank ms": theirs if theirs is not None else "not measured: networkx is not installed",
    }
    return bars, figures


def _updates(trust: Trust, rng: Rng, taken: Taken, count: int) -> None:
    """One in twenty is a word of the hub's own person, which may move every walk."""
    for turn in range(count):
        tail = 0 if turn % 20 == 0 else 1 + rng.below(IDENTITIES - 1)
        given = _word(tail, rng.below(IDENTITIES), rng.between(-STRENGTH_MAX, STRENGTH_MAX), WORDS_EACH + turn)
        began = time.process_time()
        trust.learn(given, NOW_MS)
        (taken.others_ms if tail else taken.own_ms).append((time.process_time() - began) * 1e3)


def _word(tail: int, head: int, strength: int, turn: int) -> Attestation:
    return Attestation(name_of(tail), name_of(head), strength, NOW_MS - DAY_MS, (1, turn + 1))


def _networkx(graph: Sequence[Attestation]) -> float | None:
    """One personalised PageRank by networkx in milliseconds, which it needs again after every change."""
    try:
        networkx: Any = import_module("networkx")
        import_module("scipy")
    except ImportError:
        return None
    made = networkx.DiGraph()
    made.add_weighted_edges_from((one.issuer, one.subject, one.strength) for one in graph)
    began = time.process_time()
    networkx.pagerank(made, alpha=1 - TrustConfig().restart, personalization={name_of(0): 1.0})
    return (time.process_time() - began) * 1e3
