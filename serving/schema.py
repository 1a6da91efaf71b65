"""What a caller may send: the contract's tables as JSON, strictly typed, bounded, nothing besides.

What is well formed is read by msgspec, in a quarter of pydantic's time; what is not, by pydantic, which
tells every field that is wrong. A customer who is not well formed is refused alone; the others of the
same call are scored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, Required

import msgspec
import pydantic_core
from pydantic import ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from features.contract import CONTRACT, Column
from serving.problems import FieldError, Problem, path_of
from serving.settings import ServingSettings

MAX_TEXT = 256
MAX_REASONS = 20
MAX_EVIDENCE = 10
MAX_ATTRIBUTES = 200
MAX_LISTED = 2_000
"""Beyond so many errors in one body they are not worth listing."""

_ISO_8601 = (
    r"^(19|20|21)\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2\d|3[01])"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?(Z|[+-](0\d|1[0-3]):[0-5]\d)?)?$"
)

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Language = Literal["en", "es"]
Time = Annotated[
    str,
    Field(
        min_length=10,
        max_length=40,
        description="ISO 8601. A date is its first moment in the project's time zone; a time without an "
        "offset is read in that zone.",
        examples=["2026-03-04T10:30:00+01:00", "2026-03-04"],
        json_schema_extra={"pattern": _ISO_8601},  # said here; `requests` reads what it says
    ),
]
_STRICT = ConfigDict(extra="forbid", strict=True)


def _row(table: str, doc: str) -> Any:
    """Return the type of a table's rows, as the contract has it, without the customer."""
    fields = {c.name: _field(c) for c in CONTRACT[table].columns if c.name != "customer_id"}
    typed_dict: Any = TypedDict  # the checker wants literals, the contract has the columns
    row = typed_dict(_title(table), fields, total=False)
    row.__pydantic_config__ = _STRICT
    row.__doc__ = f"{doc}; the columns of the table `{table}`."
    return row


def _field(column: Column) -> Any:
    kind: Any
    if column.kind == "number":
        kind = Annotated[float, Field(allow_inf_nan=False, ge=column.low, le=column.high)]
    elif column.words:
        kind = Literal.__getitem__(column.words)
    else:
        kind = {"text": Text, "time": Time, "flag": bool}[column.kind]
    return Required[kind] if column.required else kind | None


def _title(table: str) -> str:
    return "".join(part.capitalize() for part in table.rstrip("s").split("_"))


if TYPE_CHECKING:
    Touchpoint = dict[str, Any]
    Relationship = dict[str, Any]
    WalletAnswer = dict[str, Any]
    SwitchingCost = dict[str, Any]
    Treatment = dict[str, Any]
else:
    Touchpoint = _row("touchpoints", "One dated contact")
    Relationship = _row("relationships", "A product held")
    WalletAnswer = _row("wallet", "What is known of the customer's use of all providers")
    SwitchingCost = _row("switching_costs", "A switching cost, surveyed")
    Treatment = _row("treatments", "A retention action")
Attributes = Annotated[
    dict[Text, Annotated[str, Field(max_length=MAX_TEXT)] | Number | bool | None],
    Field(
        max_length=MAX_ATTRIBUTES,
        description="The customer's row of the table `customers`, as valid at `as_of`: `since`, `segment`, …",
    ),
]


class Customer(TypedDict, total=False):
    """A customer and all that is known of them."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    customer_id: Required[Text]
    as_of: Annotated[
        Time | None,
        Field(description="The moment of the score, now by default; only what was known before it counts."),
    ]
    touchpoints: Required[Annotated[list[Touchpoint], FailFast()]]
    relationships: Annotated[list[Relationship], FailFast()]
    wallet: Annotated[list[WalletAnswer], FailFast()]
    switching_costs: Annotated[list[SwitchingCost], FailFast()]
    treatments: Annotated[list[Treatment], FailFast()]
    attributes: Attributes


class ExplainRequest(TypedDict, total=False):
    """The body of `POST /explain`."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    customers: Required[Annotated[list[Customer], Field(min_length=1)]]
    language: Annotated[Language | None, Field(description="Of the sentences; the project's by default.")]
    evidence: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_EVIDENCE,
            description="How many touchpoints to show behind each reason; 1 by default.",
        ),
    ]


class ScoreRequest(ExplainRequest, total=False):
    """The body of `POST /score`."""

    reasons: Annotated[
        int, Field(ge=0, le=MAX_REASONS, description="How many moments of truth to tell; 3 by default.")
    ]


TABLES = ("touchpoints", "relationships", "wallet", "switching_costs", "treatments")
"""The lists of a customer."""


def _quick_request(kind: type[Any], touchpoint: Collection[str]) -> type[msgspec.Struct]:
    """Return the type of a body as msgspec reads it: whatever it takes, pydantic takes as well.

    Rows of touchpoints have the columns that are named, and no others.
    """
    text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    time = Annotated[str, msgspec.Meta(min_length=10, max_length=40)]
    many: Any = list  # the checker wants literal types, the contract has the columns
    annotated: Any = Annotated
    strict: dict[str, Any] = {
        "forbid_unknown_fields": True,
        "kw_only": True,
        "gc": False,
        "omit_defaults": True,
    }

    def cell(column: Column) -> Any:
        if column.kind == "number":
            return Annotated[float, msgspec.Meta(ge=column.low, le=column.high)]
        if column.words:
            return Literal.__getitem__(column.words)
        return {"text": text, "time": time, "flag": bool}[column.kind]

    def row(table: str) -> Any:
        columns = [c for c in CONTRACT[table].columns if c.name != "customer_id"]
        if table == "touchpoints":
            columns = [c for c in columns if c.name in touchpoint]
        fields = [(c.name, cell(c)) if c.required else (c.name, cell(c) | None, None) for c in columns]
        return msgspec.defstruct(_title(table), fields, **strict)

    attribute = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] | float | bool | None
    attributes = Annotated[dict[text, attribute], msgspec.Meta(max_length=MAX_ATTRIBUTES)]
    customer = msgspec.defstruct(
        "Customer",
        [
            ("customer_id", text),
            ("as_of", time | None, None),
            ("touchpoints", many[row("touchpoints")]),
            *((table, many[row(table)], msgspec.field(default_factory=list)) for table in TABLES[1:]),
            ("attributes", attributes, msgspec.field(default_factory=dict)),
        ],
        **strict,
    )
    fields: list[Any] = [
        ("customers", annotated[many[customer], msgspec.Meta(min_length=1)]),
        ("language", Language | None, None),
        ("evidence", Annotated[int, msgspec.Meta(ge=0, le=MAX_EVIDENCE)], 1),
    ]
    if kind is ScoreRequest:
        fields.append(("reasons", Annotated[int, msgspec.Meta(ge=0, le=MAX_REASONS)], 3))
    struct: type[msgspec.Struct] = msgspec.defstruct(kind.__name__, fields, **strict)
    return struct


@dataclass(frozen=True)
class Refused:
    """A customer whose part of the body is not well formed; paths begin inside that customer."""

    customer_id: str | None
    errors: tuple[FieldError, ...]


@dataclass(frozen=True)
class Call:
    """A body that could be read: what is asked, and each customer or why they are refused."""

    customers: Sequence[Customer | Refused]
    reasons: int
    evidence: int
    language: Language | None


TOUCHPOINT = frozenset(CONTRACT["touchpoints"].by_name) - {"customer_id"}
"""What a row of touchpoints may have."""
NEEDED = frozenset(c.name for c in CONTRACT["touchpoints"].columns if c.required) & TOUCHPOINT


class Reader:
    """Reads bodies of one kind of request, within the settings' limits.

    Callers use a few of the columns, and a row of few columns is read and turned in half the time: bodies
    are first read as if there were no columns but those that have come so far.
    """

    def __init__(self, kind: type[Any], settings: ServingSettings) -> None:
        """Prepare to read bodies of a kind: ScoreRequest or ExplainRequest."""
        self._kind = kind
        self._settings = settings
        self._quick = msgspec.json.Decoder(_quick_request(kind, TOUCHPOINT))
        self._come = NEEDED
        self._quicker = msgspec.json.Decoder(_quick_request(kind, NEEDED))

    @cached_property
    def _whole(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._kind)

    @cached_property
    def _customer(self) -> TypeAdapter[Any]:
        return TypeAdapter(Customer)

    def read(self, body: bytes) -> Call:
        """Return what is asked.

        Raises:
            Problem: the body is not JSON, or not a request.
        """
        try:
            asked = self._quickly(body)
            request = msgspec.structs.asdict(asked)
            request["customers"] = [msgspec.structs.asdict(customer) for customer in asked.customers]
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            request = self._slowly(body)
        customers = request["customers"]
        limit = self._settings.max_customers
        if len(customers) > limit:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"A call takes up to {limit} customers. Send the others in further calls.",
                errors=[FieldError("customers", "too_long", f"List should have at most {limit} items")],
            )
        bounded = [self._bounded(customer) for customer in customers]
        return Call(bounded, request.get("reasons", 3), request.get("evidence", 1), request.get("language"))

    def _quickly(self, body: bytes) -> Any:
        try:
            return self._quicker.decode(body)
        except msgspec.MsgspecError:
            asked: Any = self._quick.decode(body)
        come = self._come | {
            name
            for customer in asked.customers
            for row in customer.touchpoints
            for name in TOUCHPOINT - self._come
            if getattr(row, name) is not None
        }
        # what came as a null is not seen here, so that the next such body would be read twice as well
        self._come = TOUCHPOINT if come == self._come else come
        self._quicker = msgspec.json.Decoder(_quick_request(self._kind, self._come))
        return asked

    def _slowly(self, body: bytes) -> dict[str, Any]:
        """Return the request as pydantic reads it, which is what counts; see `_apart`."""
        try:
            return self._whole.validate_json(body)  # type: ignore[no-any-return]
        except ValidationError as error:
            return self._apart(body, error)

    def _apart(self, body: bytes, error: ValidationError) -> dict[str, Any]:
        """Return the request with the customers who are not well formed refused one by one."""
        found = field_errors(error)
        if any(e.code == "json_invalid" for e in found):
            raise Problem(HTTPStatus.BAD_REQUEST, "The body is not JSON.", errors=found) from None
        if not all(e.path.startswith("customers[") for e in found):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "The body is not a request.", errors=found
            ) from None
        request = pydantic_core.from_json(body)
        request["customers"] = [self._one(customer) for customer in request["customers"]]
        return request  # type: ignore[no-any-return]

    def _one(self, given: Any) -> Customer | Refused:
        try:
            return self._customer.validate_python(given)  # type: ignore[no-any-return]
        except ValidationError as error:
            name = given.get("customer_id") if isinstance(given, dict) else None
            known = name if isinstance(name, str) and 0 < len(name) <= MAX_TEXT else None
            return Refused(known, tuple(field_errors(error)))

    def _bounded(self, customer: Customer | Refused) -> Customer | Refused:
        if isinstance(customer, Refused):
            return customer
        limit = self._settings.max_rows
        long = [name for name in TABLES if len(customer.get(name, ())) > limit]  # type: ignore[arg-type]
        if not long:
            return customer
        message = f"List should have at most {limit} items"
        return Refused(customer["customer_id"], tuple(FieldError(name, "too_long", message) for name in long))


def field_errors(error: ValidationError) -> list[FieldError]:
    """Return what is wrong and where, without a value that was given."""
    if error.error_count() > MAX_LISTED:
        return [FieldError("", "too_many_errors", f"{error.error_count()} fields are wrong")]
    found: dict[str, FieldError] = {}
    for e in error.errors(include_url=False, include_context=False, include_input=False):
        parts, code, message = list(e["loc"]), e["type"], e["msg"]
        if "attributes" in parts and len(parts) > (after := parts.index("attributes") + 2):
            key_is_wrong = parts[after] == "[key]"
            parts = parts[:after]
            if not key_is_wrong:
                code, message = "attribute_type", "Input should be text, a finite number, true, false or null"
        path = path_of(parts)
        found.setdefault(path, FieldError(path, code, message))
    return list(found.values())
