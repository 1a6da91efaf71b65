"""The rhythm of activity: gaps, silences, rates, and how likely a silence as long as this one is."""

from __future__ import annotations

from collections.abc import Iterator

from features.definition import Context, Feature, Words
from features.expressions import ACTIVITY, Expr, above, coalesce, exp, larger, log, normal_sf, sqrt, where
from features.gaps import LONG_GAPS
from features.population import decayed_exposure, decayed_gaps, decayed_repeats
from features.vocabulary import slug
from features.words import Phrase, kind_words


def define(context: Context) -> Iterator[Feature]:
    """Yield the features of pace."""
    name = slug(context.activity_name)
    label = kind_words(context.activity_name, context.vocabulary)
    yield from _gaps(name, label)
    yield from _silences(name, label)
    for days in LONG_GAPS:
        yield Feature(
            f"days_since_{name}_gap_over_{days}d",
            ACTIVITY.pace("since_gap_over", days),
            "days",
            f"{name}.pace",
            Words(
                f"{label.en}: {{value}} days since a gap longer than {days} days",
                f"{label.es}: {{value}} días desde un intervalo de más de {days} días",
            ),
        )
    yield Feature(
        f"{name}_weekday_concentration",
        ACTIVITY.pace("weekday_concentration"),
        "0-1",
        f"{name}.regularity",
        Words(f"{label.en}: same weekday, {{value}}", f"{label.es}: mismo día de la semana, {{value}}"),
    )
    yield from _rates(context, name, label)
    yield from _dropout(context, name, label)
    yield from _own_gaps(context, name, label)


def _gaps(name: str, label: Phrase) -> Iterator[Feature]:
    """Yield what the customer's own gaps are like."""
    pace = ACTIVITY.pace
    definitions: list[tuple[str, Expr, str, str, str]] = [
        ("gaps", pace("n"), "gaps", "{value} gaps so far", "{value} intervalos hasta ahora"),
        ("gap_mean", pace("mean"), "days", "every {value} days on average", "cada {value} días de media"),
        ("gap_sd", sqrt(pace("variance")), "days", "gaps vary by {value} days", "varían {value} días"),
        ("gap_median", pace("median"), "days", "usually every {value} days", "suele ser cada {value} días"),
        ("gap_longest", pace("longest"), "days", "{value} days at most so far", "{value} días como máximo"),
        ("gap_last", pace("last"), "days", "{value} days the last time", "{value} días la última vez"),
        (
            "gap_log_mean",
            pace("log_mean"),
            "log days",
            "typically every {value} days",
            "por lo común, cada {value} días",
        ),
        (
            "gap_log_sd",
            sqrt(pace("log_variance")),
            "log",
            "gaps vary by a factor of {value}",
            "varían por un factor de {value}",
        ),
        (
            *("gap_last_over_mean", pace("last") / pace("mean"), "ratio"),
            *(
                "the last gap was {value} times the usual",
                "el último intervalo fue {value} veces lo habitual",
            ),
        ),
    ]
    for feature, expression, unit, en, es in definitions:
        words = Words(f"{label.en}: {en}", f"{label.es}: {es}")
        yield Feature(f"{name}_{feature}", expression, unit, f"{name}.pace", words)


def _silences(name: str, label: Phrase) -> Iterator[Feature]:
    """Yield this silence against the customer's own gaps."""
    silence, pace = ACTIVITY.pace("silence"), ACTIVITY.pace
    rarity = (pace("as_long") + 0.5) / (pace("n") + 1.0)
    sd = larger(sqrt(pace("log_variance")), 0.3)
    definitions: list[tuple[str, Expr, str, str]] = [
        (
            *("silence_over_mean", silence / pace("mean")),
            *("silent for {value} times the usual gap", "en silencio {value} veces lo habitual"),
        ),
        (
            *("silence_over_median", silence / pace("median")),
            *("silent for {value} times the median gap", "en silencio {value} veces la mediana"),
        ),
        (
            *("silence_over_longest", silence / pace("longest")),
            *("silent for {value} times the longest gap", "en silencio {value} veces el más largo"),
        ),
        (
            *("silence_rarity", rarity),
            *("{value} of the own gaps were as long", "{value} de sus intervalos fueron así de largos"),
        ),
        (
            *("silence_z", (log(larger(silence, 0.5)) - pace("log_mean")) / sd),
            *(
                "silence {value} deviations beyond the usual",
                "silencio a {value} desviaciones de lo habitual",
            ),
        ),
    ]
    for feature, expression, en, es in definitions:
        words = Words(f"{label.en}: {en}", f"{label.es}: {es}")
        yield Feature(f"{name}_{feature}", expression, "ratio", f"{name}.silence", words)


def _rates(context: Context, name: str, label: Phrase) -> Iterator[Feature]:
    """Yield rates shrunk to the population's, and the chance of none in the horizon (gamma-Poisson)."""
    age, silence = ACTIVITY.pace("age"), ACTIVITY.pace("silence")
    horizon = float(context.activity.gap_days + context.activity.horizon_days)
    for half_life, (shape, rate) in context.population.rates.items():
        shapes = decayed_repeats(half_life) + shape
        exposure = decayed_exposure(half_life, age) + rate
        suffix = f"{half_life:g}d" if half_life < 1e5 else "ever"
        yield Feature(
            f"{name}_rate_{suffix}",
            shapes / exposure * 30.0,
            "per 30 days",
            f"{name}.frequency",
            Words(f"{label.en}: about {{value}} a month", f"{label.es}: unas {{value}} veces al mes"),
            direction=-1,
            source="gamma-Poisson with faded counts and exposure: Harvey and Fernandes (1989)",
        )
        yield Feature(
            f"{name}_none_expected_{suffix}",
            shapes * log(exposure / (exposure + horizon)),
            "log probability",
            f"{name}.frequency",
            Words(
                f"{label.en}: {{value}} chance of none in the period, at this rate",
                f"{label.es}: probabilidad del {{value}} de ninguna en el periodo, a este ritmo",
            ),
            direction=1,
            source="negative binomial probability of zero: Ehrenberg (1959)",
        )
        yield Feature(
            f"{name}_missed_{suffix}",
            shapes / exposure * silence,
            "contacts",
            f"{name}.silence",
            Words(
                f"{label.en}: {{value}} would have been usual in this silence",
                f"{label.es}: en este silencio lo usual habrían sido {{value}}",
            ),
            source="gamma-Poisson rate times the days of silence",
        )


def _dropout(context: Context, name: str, label: Phrase) -> Iterator[Feature]:
    """Yield what BG/NBD says: alive, none in the horizon, and the rate expected of the living."""
    age, silence, horizon = ACTIVITY.pace("age"), ACTIVITY.pace("silence"), context.activity.horizon_days
    r, alpha, a, b = context.population.dropout
    repeats = ACTIVITY.days() - 1.0
    shape, observed = repeats + r, age + alpha
    gone = exp(shape * log(observed / ((age - silence) + alpha))) * a / (repeats + (b - 1.0))
    alive = where(above(repeats, 0.0), 1.0 / (gone + 1.0), 1.0 + 0.0 * age)  # not known of a stranger
    none = exp(shape * log(observed / (observed + float(horizon))))
    source = "BG/NBD: Fader, Hardie and Lee 2005, Marketing Science 24(2)"
    definitions: list[tuple[str, Expr, str, str, str]] = [
        (
            *("alive", alive, "probability"),
            *("{value} likely to be still with us", "{value} de probabilidad de seguir con nosotros"),
        ),
        (
            *("none_if_alive_or_not", 1.0 - alive + alive * none, "probability"),
            *("{value} chance of none in the period", "{value} de probabilidad de ninguna en el periodo"),
        ),
        (
            *("expected", alive * shape / observed * float(horizon), "days of activity"),
            *(f"{{value}} expected in {horizon} days", f"se esperan {{value}} en {horizon} días"),
        ),
    ]
    for feature, expression, unit, en, es in definitions:
        words = Words(f"{label.en}: {en}", f"{label.es}: {es}")
        yield Feature(f"{name}_{feature}", expression, unit, f"{name}.silence", words, source=source)


def _own_gaps(context: Context, name: str, label: Phrase) -> Iterator[Feature]:
    """Yield what the customer's own gaps, taken as log-normal and shrunk, say of this silence."""
    silence, horizon = larger(ACTIVITY.pace("silence"), 0.5), float(context.activity.horizon_days)
    for half_life, (mean, within, weight) in context.population.gaps.items():
        n, logs, squares = decayed_gaps(half_life)
        suffix = "" if half_life > 1e5 else f"_{half_life:g}d"
        centre = (logs + weight * mean) / (n + weight)
        scatter = coalesce(larger(squares - logs * logs / n, 0.0), 0.0)
        spread = sqrt((scatter + 4.0 * within) / (n + 4.0))
        now = (log(silence) - centre) / spread
        later = (log(silence + horizon) - centre) / spread
        goes_on = log(larger(normal_sf(later), 1e-300)) - log(larger(normal_sf(now), 1e-300))
        source = "log-normal gaps shrunk to the population's"
        yield Feature(
            f"{name}_silence_goes_on{suffix}",
            goes_on,
            "log probability",
            f"{name}.silence",
            Words(
                f"{label.en}: {{value}} chance that the silence lasts {horizon:g} days more",
                f"{label.es}: probabilidad del {{value}} de que el silencio dure {horizon:g} días más",
            ),
            direction=1,
            source=source + ", conditional on the silence so far",
        )
        yield Feature(
            f"{name}_silence_surprise{suffix}",
            now,
            "deviations",
            f"{name}.silence",
            Words(
                f"{label.en}: silence {{value}} deviations beyond the usual",
                f"{label.es}: silencio a {{value}} desviaciones de lo habitual",
            ),
            source=source,
        )
        yield Feature(
            f"{name}_usual_gap{suffix}",
            exp(centre),
            "days",
            f"{name}.pace",
            Words(f"{label.en}: usually every {{value}} days", f"{label.es}: suele ser cada {{value}} días"),
            source=source,
        )
