"""Errors in the shape in which Lambda reports them."""

from aiohttp import web


class AwsError(Exception):
    """An answer in the shape in which Lambda reports an error."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type

    def response(self) -> web.Response:
        """Return the HTTP response that boto3 turns into this error."""
        return web.json_response(
            {"Type": "User", "Message": str(self), "message": str(self)},
            status=self.status,
            headers={"x-amzn-ErrorType": self.error_type},
        )
