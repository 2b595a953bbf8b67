"""Passes HTTP requests on unchanged."""

import aiohttp
from aiohttp import web
from yarl import URL

_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
    *("trailer", "transfer-encoding", "upgrade", "expect", "content-length"),
}
_NO_HEADERS_OF_ITS_OWN = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


async def forward(
    http: aiohttp.ClientSession, base_url: str, request: web.Request, path: str | None = None
) -> web.Response:
    """Pass a request on byte for byte, because its signature covers path, query and headers."""
    headers = [
        (name.decode(), value.decode("latin-1"))
        for name, value in request.raw_headers
        if name.decode().lower() not in _HOP_BY_HOP
    ]
    async with http.request(
        request.method,
        URL(base_url + (path or request.raw_path), encoded=True),
        headers=headers,
        data=await request.read() or None,
        skip_auto_headers=_NO_HEADERS_OF_ITS_OWN,
        allow_redirects=False,
    ) as answer:
        response = web.Response(status=answer.status, body=await answer.read())
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers.add(name, value)
    return response
