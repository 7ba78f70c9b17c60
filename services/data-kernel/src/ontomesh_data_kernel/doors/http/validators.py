"""Validators over HTTP."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from ontomesh_data_kernel.domain.canonical import kind_of
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.validators.model import (
    BuiltinCheck,
    Check,
    FailurePolicy,
    GrpcCheck,
    HttpsCheck,
    Match,
    PythonCheck,
    Standing,
    Validator,
)
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.http import answers, examples
from ontomesh_data_kernel.doors.http.parameters import IfMatch, IfNoneMatch, PageSize, PageToken, json_answer, json_body
from ontomesh_data_kernel.doors.http.reading import Members, etag_of, is_known, read_value
from ontomesh_data_kernel.errors import InvalidRequest

_KINDS = ("builtin", "python", "grpc", "https")
_DEADLINE_MS = 2_000


def validator_routes(kernel: Kernel) -> APIRouter:
    """Routes of validators."""
    routes = APIRouter(prefix="/v1/validators", tags=["validators"])
    validators = kernel.validators
    shown = _validator(examples.VALIDATOR)

    @routes.get(
        "",
        summary="The validators, by order and name",
        responses=json_answer({"validators": [shown], "next_page_token": ""}),
    )
    async def list_validators(page_size: PageSize = 0, page_token: PageToken = "") -> Response:
        page = await validators.list(caller_now(), page_size, page_token)
        found = [_validator(one) for one in page.validators]
        return answers.answer({"validators": found, "next_page_token": page.next_page_token})

    @routes.get(
        "/{name}",
        summary="A validator, and how it fares with this kernel",
        responses=json_answer(_standing(examples.VALIDATOR, Standing(12, 3)), conditional=True),
    )
    async def get_validator(name: str, if_none_match: IfNoneMatch = None) -> Response:
        found, standing = await validators.get(caller_now(), name)
        known = is_known(if_none_match, found.etag)
        return answers.versioned(_standing(found, standing), found.etag, is_known=known)

    @routes.put(
        "/{name}",
        summary="Create or replace a validator",
        openapi_extra=json_body(examples.VALIDATOR_REQUEST),
        responses=json_answer(shown),
    )
    async def put_validator(name: str, request: Request, if_match: IfMatch = None) -> Response:
        asked = _asked(name, await read_value(request), etag_of(if_match))
        made = await validators.put(caller_now(), asked)
        return answers.versioned(_validator(made), made.etag)

    @routes.delete("/{name}", status_code=204, summary="Delete a validator")
    async def delete_validator(name: str, if_match: IfMatch = None) -> Response:
        await validators.delete(caller_now(), name, etag_of(if_match))
        return Response(status_code=204)

    return routes


def _asked(name: str, value: object, etag: str) -> Validator:
    body = Members(value, "validator")
    described = body.text("description")
    match_ = Members(body.take("match") or {}, body.at("match"))
    match = Match(match_.texts("databases"), match_.texts("branches"), match_.texts("classes"), match_.texts("paths"))
    match_.end()
    check = _check(body)
    deadline = body.number("deadline_ms") if body.has("deadline_ms") else _DEADLINE_MS
    policy = body.text("failure_policy") or FailurePolicy.REJECT.value
    if policy not in (each.value for each in FailurePolicy):
        raise InvalidRequest.at(body.at("failure_policy"), f"{policy!r} is neither reject nor allow")
    made = Validator(
        name,
        check,
        described,
        match,
        deadline * 1_000,
        _order(body),
        FailurePolicy(policy),
        body.flag("disabled"),
        etag,
    )
    body.end()
    return made


def _order(body: Members) -> int:
    value = body.take("order")
    if value is None:
        return 0
    if type(value) is not int or not -(1 << 31) <= value < 1 << 31:
        raise InvalidRequest.at(body.at("order"), "an integer of 32 bits is due")
    return value


def _check(body: Members) -> Check:
    given = [kind for kind in _KINDS if body.has(kind)]
    if len(given) != 1:
        raise InvalidRequest.at("validator", f"has one of {', '.join(_KINDS)}")
    kind = given[0]
    members = Members(body.take(kind), body.at(kind))
    check: Check
    if kind == "builtin":
        check = BuiltinCheck(members.text("rule"), _parameters(members))
    elif kind == "python":
        check = PythonCheck(members.text("entry_point"), _parameters(members))
    elif kind == "grpc":
        check = GrpcCheck(members.text("target"), members.flag("plaintext"))
    else:
        check = HttpsCheck(members.text("url"))
    members.end()
    return check


def _parameters(members: Members) -> Mapping[str, str]:
    value = members.take("parameters") or {}
    if not isinstance(value, dict):
        raise InvalidRequest.at(members.at("parameters"), f"{kind_of(value)} where an object is due")
    for key, part in value.items():
        if not isinstance(part, str):
            raise InvalidRequest.at(members.at(f"parameters[{key}]"), f"{kind_of(part)} where a string is due")
    return value


def _validator(one: Validator) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "match": {
            "databases": one.match.databases,
            "branches": one.match.branches,
            "classes": one.match.classes,
            "paths": one.match.paths,
        },
        **_checked(one.check),
        "deadline_ms": one.deadline / 1_000 if one.deadline % 1_000 else one.deadline // 1_000,
        "order": one.order,
        "failure_policy": one.failure_policy.value,
        "disabled": one.disabled,
        "etag": one.etag,
        "create_time": answers.time(one.create_time),
        "update_time": answers.time(one.update_time),
    }


def _checked(check: Check) -> dict[str, Any]:
    match check:
        case BuiltinCheck(rule, parameters):
            return {"builtin": {"rule": rule, "parameters": dict(parameters)}}
        case PythonCheck(entry_point, parameters):
            return {"python": {"entry_point": entry_point, "parameters": dict(parameters)}}
        case GrpcCheck(target, plaintext):
            return {"grpc": {"target": target, "plaintext": plaintext}}
        case HttpsCheck(url):
            return {"https": {"url": url}}


def _standing(one: Validator, standing: Standing) -> dict[str, Any]:
    return {
        **_validator(one),
        "calls": standing.calls,
        "rejections": standing.rejections,
        "failures": standing.failures,
        "circuit_open": standing.circuit_open,
    }
