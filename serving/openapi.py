"""The service's own OpenAPI document, made from what is really checked."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from serving.problems import MEDIA_TYPE
from serving.schema import TABLES, ExplainRequest, ScoreRequest
from serving.settings import ServingSettings
from training.drift import WAY_WORDS

TEXT = "text/plain"
REF = "#/components/schemas/{model}"

if TYPE_CHECKING:
    Way = str
else:
    Way = Literal.__getitem__(tuple(WAY_WORDS))


class EvidenceAnswer(TypedDict):
    """A touchpoint behind a reason, and the risk had it not happened."""

    occurred_at: str
    kind: str
    channel: str | None
    items: list[str]
    outcome: str | None
    amount: float | None
    wait_minutes: float | None
    contribution: float
    risk_without: float
    sentence: str


class ReasonAnswer(TypedDict):
    """A moment of truth: its contribution in log-odds, and the churn probability without it."""

    moment: str
    label: str
    direction: Literal["raises", "lowers"]
    contribution: float
    risk_without: float
    sentence: str
    evidence: NotRequired[list[EvidenceAnswer]]


class WarningAnswer(TypedDict):
    """What a reader of the score should know."""

    code: Literal[
        "no_history", "short_history", "unseen_kinds", "not_yet_known", "duplicates", "unused_attributes"
    ]
    message: str
    count: NotRequired[int]


class FieldErrorAnswer(TypedDict):
    """What is wrong with a field; never with its value."""

    path: str
    code: str
    message: str


class CustomerError(TypedDict):
    """Why a customer was not scored."""

    detail: str
    errors: list[FieldErrorAnswer]


class RefusedCustomer(TypedDict):
    """A customer who could not be scored beside others who were."""

    customer_id: str | None
    error: CustomerError


class SignalAnswer(TypedDict):
    """A number that tells of a switching cost, and its percentile among customers."""

    signal: str
    label: str
    value: float | None
    unit: str
    percentile: float | None
    surveyed: bool


class SwitchingCostAnswer(TypedDict):
    """An index of 0 to 100, where it comes from, and the share of its signals that is known."""

    value: float | None
    provenance: Literal["surveyed", "observed", "unknown"]
    coverage: float
    label: NotRequired[str]
    signals: NotRequired[list[SignalAnswer]]


class SatisfactionAnswer(TypedDict):
    """Satisfaction, 0 to 10: asked, or only estimated from what is observed."""

    value: float | None
    provenance: Literal["surveyed", "observed", "unknown"]
    unsatisfied_probability: float | None


class LockAnswer(TypedDict):
    """What leaving a relationship would cost, and until when."""

    product: str
    committed_until: str | None
    exit_fee: float | None
    accrued_benefit: float | None
    benefit_until: str | None
    discount: float | None
    discount_until: str | None


class AgainstAnswer(TypedDict):
    """A moment that speaks against us as the main provider: log-odds, and the probability without it."""

    moment: str
    label: str
    contribution: float
    probability_without: float
    sentence: str


class TwoWayAnswer(TypedDict):
    """What we are to a customer today, the likeliest way from there, and how likely each end is.

    The three `ends` sum to one. `against` is there when reasons are asked, the heaviest first.
    """

    today: Literal["principal", "secondary", "not_known"]
    likely: Way
    likely_words: str
    ends: dict[Way, float]
    against: NotRequired[list[AgainstAnswer]]


class ScoredCustomer(TypedDict):
    """A customer's score at `as_of`; `principality_probability` is that of those who stay.

    `two_way` joins both, where the model answers principality and the configuration asks it.
    """

    customer_id: str
    as_of: str
    churn_probability: float
    principality_probability: float | None
    risk_band: Literal["low", "elevated", "high"]
    model_version: str
    quarter: Literal["loyal", "hostage", "mercenary", "defector", "unknown"]
    satisfaction: SatisfactionAnswer
    hostage_probability: float | None
    uncommitted_on: str | None
    all_uncommitted_on: str | None
    switching_costs: dict[Literal["emotional", "psychological", "learning", "economic"], SwitchingCostAnswer]
    locks: NotRequired[list[LockAnswer]]
    base: NotRequired[float]
    raw_score: NotRequired[float]
    reasons: NotRequired[list[ReasonAnswer]]
    two_way: TwoWayAnswer | None
    warnings: list[WarningAnswer]


class ScoreAnswer(TypedDict):
    """One element per customer of the call, in its order."""

    model_version: str
    customers: list[ScoredCustomer | RefusedCustomer]


class ProblemAnswer(TypedDict):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldErrorAnswer]]
    more_errors: NotRequired[int]


_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON.",
    HTTPStatus.UNAUTHORIZED: "No valid API key.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not declared as JSON in UTF-8.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body is not a request, or no customer of it can be scored.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed on this request.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The service is at its limit; see Retry-After.",
}


def openapi_document(settings: ServingSettings, model_version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the service with these limits and this model."""
    kinds = (ScoreRequest, ExplainRequest, ScoreAnswer, ProblemAnswer)
    _, definitions = TypeAdapter.json_schemas(
        [(kind.__name__, "validation", TypeAdapter(kind)) for kind in kinds], ref_template=REF
    )
    schemas = definitions["$defs"]
    for request in ("ScoreRequest", "ExplainRequest"):
        schemas[request]["properties"]["customers"]["maxItems"] = settings.max_customers
    for table in TABLES:
        schemas["Customer"]["properties"][table]["maxItems"] = settings.max_rows
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Corredor scoring service",
            "version": model_version or "unsaved",
            "description": "Churn and principality of customers, with the moments of truth behind them.",
        },
        "paths": {
            "/score": {"post": _question("score", "Score customers.", "ScoreRequest", settings)},
            "/explain": {
                "post": _question(
                    "explain", "Score customers and tell every moment.", "ExplainRequest", settings
                )
            },
            "/livez": {"get": _page("livez", "Whether the process lives.", "text/plain", everybody=True)},
            "/readyz": {"get": _page("readyz", "Whether the model is loaded.", "text/plain", everybody=True)},
            "/metrics": {
                "get": _page(
                    "metrics", "Counters for Prometheus.", "text/plain", everybody=settings.open_metrics
                )
            },
            "/docs.json": {"get": _page("docs", "This document.", "application/json")},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{"bearer": []}, {"header": []}],
    }


def _question(name: str, summary: str, request: str, settings: ServingSettings) -> dict[str, Any]:
    limits = settings.max_body_bytes, settings.max_customers, settings.max_rows
    body = "Up to {} bytes, {} customers, {} rows of a table each.".format(*limits)
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {
            "required": True,
            "description": body,
            "content": {"application/json": {"schema": {"$ref": REF.format(model=request)}}},
        },
        "responses": {
            "200": {
                "description": "One element per customer: a score, or that customer's own error.",
                "content": {"application/json": {"schema": {"$ref": REF.format(model="ScoreAnswer")}}},
            },
            **{str(int(status)): _problem(text) for status, text in _PROBLEMS.items()},
        },
    }


def _page(name: str, summary: str, media_type: str, *, everybody: bool = False) -> dict[str, Any]:
    page: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {media_type: {}}}},
    }
    if everybody:
        page["security"] = []
    else:
        page["responses"]["401"] = _problem(_PROBLEMS[HTTPStatus.UNAUTHORIZED])
    return page


def _problem(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="ProblemAnswer")}}},
    }
