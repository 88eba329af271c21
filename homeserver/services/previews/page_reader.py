"""A program, not a module: reads HTML from stdin, encoded as the first argument says, and writes its parts as JSON.

Run by page_parts.py for each page, in a process of its own with limits on memory and time. A megabyte of `<div>` without
an end keeps the parser busy for minutes: the standard wants it to look through all open elements for each new one.
"""

import json
import os
import resource
import sys
from typing import Any

MAX_MEMORY_BYTES = 512 * 1024 * 1024
MAX_CPU_SECONDS = 1
NICENESS = 10
MAX_METAS = 200
MAX_LINKS = 100
MAX_TITLES = 10
MAX_PARAGRAPHS = 5
MAX_PARAGRAPHS_READ = 100
MAX_CHARACTERS = 2100
MAX_NAME_CHARACTERS = 100
MIN_PARAGRAPH_CHARACTERS = 40
MAX_DEPTH = 100
MAX_BREAKS = 100
NO_TEXT = ["script", "style"]
# What stands there is no sentence of the page's own.
ASIDE = frozenset(("nav", "header", "footer", "aside", "form", "dialog", "noscript", "template", "button", "figure"))


def main() -> int:
    """Exit status 0, whatever the page is: nothing is no HTML."""
    os.nice(NICENESS)  # calls and messages come first
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    if sys.platform == "linux":  # macOS refuses this limit
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    from selectolax.lexbor import LexborHTMLParser

    text = sys.stdin.buffer.read().decode(sys.argv[1], "replace").removeprefix("\ufeff")
    parts = json.dumps(parts_of(LexborHTMLParser(text)), ensure_ascii=False)
    sys.stdout.buffer.write(parts.encode("utf-8", "replace"))
    return 0


def parts_of(tree: Any) -> dict[str, Any]:
    """What facts.py asks for; texts are cut to MAX_CHARACTERS, but not tidied."""
    base = tree.css_first("base[href]")
    heading = tree.css_first("h1")
    # A <title> inside an <svg> is that of a drawing.
    title = next((node for node in tree.css("title")[:MAX_TITLES] if node.parent.tag in ("head", "body")), None)
    return {
        "base": _attribute(base, "href") if base is not None else "",
        "title": _text(title) if title is not None else "",
        "heading": _text(heading) if heading is not None else "",
        "metas": list(_metas(tree))[:MAX_METAS],
        "links": list(_links(tree))[:MAX_LINKS],
        "paragraphs": list(_paragraphs(tree)),
    }


def _metas(tree: Any) -> Any:
    for node in tree.css("meta[content]"):
        for naming in ("property", "name", "itemprop"):
            if _attribute(node, naming):
                yield [_name(node, naming), _attribute(node, "content")]
                break


def _links(tree: Any) -> Any:
    for node in tree.css("link[rel][href]"):
        yield [_name(node, "rel"), _name(node, "type"), _attribute(node, "href")]


def _paragraphs(tree: Any) -> Any:
    found = 0
    tree.strip_tags(NO_TEXT, recursive=True)
    for node in tree.css("p")[:MAX_PARAGRAPHS_READ]:
        text = _text(node)
        if len(text) >= MIN_PARAGRAPH_CHARACTERS and not _is_aside(node):
            yield text
            found += 1
            if found == MAX_PARAGRAPHS:
                return


def _is_aside(node: Any) -> bool:
    for _ in range(MAX_DEPTH):
        node = node.parent
        if node is None:
            return False
        if node.tag in ASIDE:
            return True
    return True


def _attribute(node: Any, name: str) -> str:
    return (node.attributes.get(name) or "")[:MAX_CHARACTERS]


def _name(node: Any, attribute: str) -> str:
    return _attribute(node, attribute).strip().lower()[:MAX_NAME_CHARACTERS]


def _text(node: Any) -> str:
    for each in node.css("br")[:MAX_BREAKS]:
        each.replace_with(" ")
    text: str = node.text(deep=True, separator="")
    return text[:MAX_CHARACTERS]


if __name__ == "__main__":
    sys.exit(main())
