"""Classifies errors of the storage library, by their type; pure (main process)."""

from typing import Any

from captionfleet.errors import FailureCode

__all__ = ["ACCESS", "ODD_NAME", "StorageError", "explained"]

ODD_NAME = (
    "its name holds an empty part (//), a part . or .. or a control character, which obstore "
    "does not take: copy it to another name"
)


ACCESS = {
    "s3": "AWS_REGION, AWS_ENDPOINT_URL where it is not Amazon's, AWS_ACCESS_KEY_ID or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
"""The environment variables that give access to a bucket if the machine has no role."""


class StorageError(Exception):
    """Raised when an object cannot be looked up, listed, read or written.

    `detail` never quotes a message of the library, which may hold a signed address.
    """

    def __init__(self, code: FailureCode, detail: str, *, may_pass: bool = False) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.may_pass = may_pass


def explained(
    error: Exception, exceptions: Any, scheme: str = "https", *, doing: str = "read it"
) -> StorageError:
    """Describe the error by its type, without quoting it; `doing` is what was tried."""
    if isinstance(error, FileNotFoundError | exceptions.NotFoundError):
        return StorageError(FailureCode.SOURCE_MISSING, "no such object")
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        words = f"access denied: do the credentials in use allow to {doing}?"
        return StorageError(FailureCode.SOURCE_UNREADABLE, words)
    if isinstance(error, exceptions.AlreadyExistsError):
        return StorageError(FailureCode.SOURCE_CHANGED, "it was written just now")
    if isinstance(error, exceptions.NotSupportedError):
        words = "the server sends no part of a file alone (no range requests)"
        return StorageError(FailureCode.SOURCE_UNREADABLE, words)
    if isinstance(error, ValueError | exceptions.InvalidPathError):
        return StorageError(FailureCode.SOURCE_UNREADABLE, ODD_NAME)
    words = "no whole answer from the storage, several times"
    if scheme in ACCESS:
        words += f": is what it needs set: {ACCESS[scheme]}?"
    return StorageError(FailureCode.SOURCE_UNREADABLE, words, may_pass=True)
