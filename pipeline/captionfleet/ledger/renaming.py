"""Captions whose request has another name today: their lines follow; pure (main, in a thread)."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from captionfleet.errors import ConfigError
from captionfleet.ledger.files.reading import record_of, text_in
from captionfleet.ledger.format.fingerprint import request_of
from captionfleet.ledger.format.lines import renamed_line

__all__ = ["ByName", "Made", "Renames", "names_there", "renamed_lines", "require_named"]

Made = tuple[str, str]
"""What a caption came from: the request's name and its fingerprint."""
Renames = Mapping[Made, str]
"""The name of today of a request, by its former one and its fingerprint."""

ByName = dict[str, frozenset[str]]
"""Fingerprints by the name of their request."""


def renamed_lines(lines: Iterable[bytes], renames: Renames) -> Iterator[bytes]:
    """The lines of captions.jsonl, each under the name that its request has today."""
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
    """What stands in an output folder before a run, for its requests and those of other jobs.

    Args:
        found: what the captions say that they came from, under the names of today.
        noted: what the folder noted, under the former names.
        own: the fingerprints of each of the job's requests.
        renames: the names of today.
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
    """Refuse a request without a name among those that have one: is it one of them, changed?

    Raises:
        ConfigError: it is so.
    """
    names = sorted(name for name in found if name)
    if "" in own and "" not in found and names:
        raise ConfigError(
            f"the captions there are of requests with names ({', '.join(names)[:200]}): give this "
            "one a name too, in [[request]], or choose another folder with --out"
        )
