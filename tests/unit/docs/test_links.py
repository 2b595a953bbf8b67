"""Links lead somewhere. Those to other hosts are not followed: a test needs no network."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.documents import DOCUMENTS, Document

LINKS = [
    pytest.param(document, link, id=f"{document}: {link}")
    for document in DOCUMENTS
    for link in document.links()
]


@pytest.mark.parametrize(("document", "link"), LINKS)
def test_a_link_leads_somewhere(document: Document, link: str) -> None:
    target = urlsplit(link)
    if target.scheme:
        assert target.scheme == "https", f"{document}: {link} is not https"
        assert "." in target.netloc, f"{document}: {link} names no host"
        return
    path = (document.path.parent / target.path).resolve() if target.path else document.path
    assert path.exists(), f"{document}: there is no {target.path}"
    if target.fragment:
        anchors = Document(path).anchors()
        assert target.fragment in anchors, f"{document}: {link} is none of {sorted(anchors)}"
