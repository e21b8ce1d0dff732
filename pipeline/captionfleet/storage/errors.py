"""What a storage refused, by the type of its error; pure (main process)."""

from captionfleet.errors import FailureCode

__all__ = ["StorageError"]


class StorageError(Exception):
    """Raised where an object cannot be looked at, listed or read.

    `detail` is of this program's own words: those of a library may quote a signed address.
    """

    def __init__(self, code: FailureCode, detail: str, *, may_pass: bool = False) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.may_pass = may_pass
