"""Links lead somewhere. Those to other hosts are not followed: a test needs no network."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.documents import DOCUMENTS, Document


def test_a_link_leads_somewhere() -> None:
    links = [(document, link) for document in DOCUMENTS for link in document.links()]

    assert links
    assert [
        f"{document}: {link} {wrong}"
        for document, link in links
        if (wrong := fault(document, link))
    ] == []


def fault(document: Document, link: str) -> str:
    """What is wrong with a link of a document; nothing may be."""
    target = urlsplit(link)
    if target.scheme:
        if target.scheme != "https":
            return "is not https"
        return "" if "." in target.netloc else "names no host"
    path = (document.path.parent / target.path).resolve() if target.path else document.path
    if not path.exists():
        return "is not there"
    anchors = Document(path).anchors() if target.fragment else set[str]()
    return "" if target.fragment in {"", *anchors} else f"is none of {sorted(anchors)}"
