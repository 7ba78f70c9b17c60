"""The kernel's own rules."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from ontomesh_data_kernel.domain.validators.changed_paths import concerns, leaves
from ontomesh_data_kernel.domain.validators.model import BuiltinCheck, Objection, Proposal, ProposedChange
from ontomesh_data_kernel.errors import Violation

Matcher = Callable[[str], bool]
"""Whether a text contains what a pattern describes."""

Compile = Callable[[str], Matcher]
"""Makes a matcher of a regular expression, one that takes time in proportion to the text. Raises ValueError."""

Rule = Callable[[Proposal, Mapping[str, str], Compile], Iterable[Objection]]


def _message(proposal: Proposal, parameters: Mapping[str, str], compile_pattern: Compile) -> Iterator[Objection]:
    pattern = parameters["pattern"]
    if not compile_pattern(pattern)(proposal.message):
        yield Objection(f"must contain {pattern}", path="message")


def _metadata(proposal: Proposal, parameters: Mapping[str, str], compile_pattern: Compile) -> Iterator[Objection]:
    for key in _listed(parameters["keys"]):
        if not proposal.metadata.get(key):
            yield Objection("is required", path=f"metadata[{key}]")


def _max_changes(proposal: Proposal, parameters: Mapping[str, str], compile_pattern: Compile) -> Iterator[Objection]:
    count, limit = proposal.earlier + len(proposal.changes), int(parameters["count"])
    if count > limit:
        yield Objection(f"changes {count:,} documents or more, where at most {limit:,} may change")


def _no_deletes(proposal: Proposal, parameters: Mapping[str, str], compile_pattern: Compile) -> Iterator[Objection]:
    return (Objection("may not be deleted", one.id) for one in proposal.changes if one.after is None)


def _append_only(proposal: Proposal, parameters: Mapping[str, str], compile_pattern: Compile) -> Iterator[Objection]:
    for one in proposal.changes:
        if one.before is not None:
            yield Objection(f"may not be {'deleted' if one.after is None else 'changed'} any more", one.id)


def _immutable(proposal: Proposal, parameters: Mapping[str, str], compile_pattern: Compile) -> Iterator[Objection]:
    properties = _listed(parameters["properties"])
    for one in proposal.changes:
        if one.before is not None and one.after is not None:
            yield from _changed_once_set(one, properties)


def _changed_once_set(one: ProposedChange, properties: list[str]) -> Iterator[Objection]:
    before = leaves(one.before)
    for name in properties:
        is_set = any(concerns(path, name) for path in before)
        if is_set and any(concerns(path, name) for path in one.touched):
            yield Objection("may not change once it is set", one.id, name)


RULES: Mapping[str, tuple[str, Rule]] = {
    "message": ("pattern", _message),
    "metadata": ("keys", _metadata),
    "max_changes": ("count", _max_changes),
    "no_deletes": ("", _no_deletes),
    "append_only": ("", _append_only),
    "immutable": ("properties", _immutable),
}
"""The rules by name, each with the one parameter that it needs."""


def judge_by_rule(check: BuiltinCheck, proposal: Proposal, compile_pattern: Compile) -> list[Objection]:
    """What a rule, which is free of faults, has against a proposal."""
    _, rule = RULES[check.rule]
    return list(rule(proposal, check.parameters, compile_pattern))


def rule_faults(check: BuiltinCheck, compile_pattern: Compile) -> Iterator[Violation]:
    """What is wrong with a rule and its parameters."""
    if check.rule not in RULES:
        yield Violation("rule", f"{check.rule!r} is none of {', '.join(RULES)}")
        return
    needed, _ = RULES[check.rule]
    for name in check.parameters:
        if name != needed:
            yield Violation(f"parameters[{name}]", f"{check.rule} has no such parameter")
    if not needed:
        return
    value = check.parameters.get(needed, "")
    if fault := _parameter_fault(needed, value, compile_pattern):
        yield Violation(f"parameters[{needed}]", fault)


def _parameter_fault(name: str, value: str, compile_pattern: Compile) -> str:
    if not value:
        return "is required"
    if name == "pattern":
        try:
            compile_pattern(value)
        except ValueError as error:
            return f"is no regular expression without backtracking: {error}"
    elif name == "count":
        if not (value.isascii() and value.isdigit() and len(value) <= 9):
            return "is a number from 0 on"
    elif not all(_listed(value)):
        return "is a list with commas between"
    return ""


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
