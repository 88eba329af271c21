"""HTML pages for people: one plain layout, and headers that allow nothing a page did not ask for."""

from __future__ import annotations

import base64
import hashlib
import html
from urllib.parse import parse_qs

from homeserver.http.request import Request
from homeserver.http.responses import Raw
from homeserver.protocol import errors

MAX_FORM_BYTES = 16 * 1024
MAX_FORM_FIELDS = 10

STYLE = """
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input { margin: .2rem 0 1rem; padding: .4rem; }
input[type=checkbox] { display: inline; width: auto; margin: 0 .4rem 1rem 0; }
button { padding: .5rem; }
button.quiet { border: 0; background: none; text-decoration: underline; cursor: pointer; }
a.button { display: block; padding: .5rem; border: 1px solid; border-radius: .2rem; text-align: center; text-decoration: none; }
[role=alert] { color: #b00020; }
"""


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(
    title: str,
    content: str,
    status: int = 200,
    *,
    script: str = "",
    scripts_from: str = "",
    connects: bool = False,
    forms_to: str = "",
) -> Raw:
    """A page. `script` runs inline; `scripts_from` are sources of further scripts and frames, as CSP writes them;
    `connects`: the script may ask this server. `forms_to`: where a form may end beside this server, as CSP writes it.
    """
    scripts = " ".join(filter(None, [_hash_source(script) if script else "", scripts_from])) or "'none'"
    # Foreign scripts bring styles of their own.
    styles = "'unsafe-inline'" if scripts_from else _hash_source(STYLE)
    frames = scripts_from or "'none'"
    connections = "'self'" if connects else "'none'"
    policy = (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; frame-src {frames}; "
        f"connect-src {connections}; "
        f"form-action 'self'{' ' * bool(forms_to)}{forms_to}; base-uri 'none'; frame-ancestors 'none'"
    )
    # Addresses of such pages hold secrets: they may go to no cache and into no Referer.
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Raw(_layout(title, content, script).encode(), "text/html; charset=utf-8", status, headers)


def _layout(title: str, content: str, script: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{content}
</main>
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def message(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>"


def alert(text: str) -> str:
    """A paragraph that says what went wrong; nothing where nothing did."""
    return f'<p role="alert">{html.escape(text)}</p>' if text else ""


async def read_form(request: Request[None]) -> dict[str, str]:
    """The fields of a form, the first value of each. Raises InvalidParam where it is none."""
    body = b"".join([chunk async for chunk in request.stream()])
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=MAX_FORM_FIELDS, errors="strict")
    except ValueError:
        raise errors.InvalidParam("This is not a form") from None
    return {name: values[0] for name, values in fields.items()}
