"""Renames captions whose request has a new name in the job; pure (main process)."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from captionfleet.errors import ConfigError
from captionfleet.ledger.files.reading import record_of, text_in
from captionfleet.ledger.format.fingerprint import request_of
from captionfleet.ledger.format.serialising import renamed_line

__all__ = ["ByName", "Made", "Renames", "names_there", "renamed_lines", "require_named"]

Made = tuple[str, str]
"""The request of a caption: its name and its fingerprint."""
Renames = Mapping[Made, str]
"""The current name of a request, by its former name and its fingerprint."""

ByName = dict[str, frozenset[str]]
"""Fingerprints by the name of their request."""


def renamed_lines(lines: Iterable[bytes], renames: Renames) -> Iterator[bytes]:
    """The lines of captions.jsonl, each under the current name of its request."""
    for line in lines:
        record = record_of(line)
        made = text_in(record, "request"), request_of(text_in(record, "fingerprint"))
        new = renames.get(made)
        yield line if new is None else renamed_line(record, new)


def names_there(
    found: Mapping[str, frozenset[str]],
    noted: Mapping[str, frozenset[str]] | None,
    own: Mapping[str, Collection[str]],
    renames: Renames,
) -> ByName:
    """The fingerprints in an output folder before a run, of the job's requests and of other jobs'.

    Args:
        found: the fingerprints in the captions, under current names.
        noted: the fingerprints in requests.json, under former names.
        own: the fingerprints of each of the job's requests.
        renames: the current names.
    """
    there: ByName = {name: found.get(name, frozenset()) for name in {*found, *own}}
    for name, ones in (noted or {}).items():
        targets = {new for (former, _), new in renames.items() if former == name}
        moved = {one: new for new in targets for one in ones if one in own[new]}
        there[name] = ones - moved.keys()
        for one, new in moved.items():
            there[new] = there.get(new, frozenset()) | {one}
        if not there[name] and name not in own:
            del there[name]
    return there


def require_named(found: Mapping[str, frozenset[str]], own: Collection[str]) -> None:
    """Refuse a request without a name if captions have names: it may be one of theirs, changed.

    Raises:
        ConfigError: the request needs a name.
    """
    names = sorted(name for name in found if name)
    if "" in own and "" not in found and names:
        raise ConfigError(
            f"the captions there are of requests with names ({', '.join(names)[:200]}): give this "
            "one a name too, in [[request]], or choose another folder with --out"
        )
