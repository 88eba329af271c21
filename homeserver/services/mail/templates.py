"""The words of our mail: files that the operator may replace by his own of the same name.

A mail `kind` is two files: `kind.txt`, whose first line is the subject, and `kind.html`, which is put into
`layout.html`. Placeholders are `$name`; in HTML their values are escaped.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from homeserver.services.mail.mail import Mail, one_line

OURS = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Templates:
    """`directory`: the operator's files. `values`: what every mail may name, such as $app_name."""

    values: Mapping[str, str]
    directory: Path | None = None
    _read: dict[str, Template] = field(default_factory=dict)

    def render(
        self,
        kind: str,
        address: str,
        values: Mapping[str, str],
        *,
        html_values: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mail:
        """A mail of one kind. `html_values` take the place of `values` in the HTML part, where they stand unescaped."""
        known = {**self.values, **values}
        subject, text = self._words(kind, known)
        escaped = {name: html.escape(value) for name, value in known.items()} | dict(html_values or {})
        escaped["subject"] = html.escape(subject)
        escaped["content"] = self._template(f"{kind}.html").safe_substitute(escaped)
        layout = self._template("layout.html").safe_substitute(escaped)
        return Mail(kind, address, subject, text, layout, headers or {})

    def _words(self, kind: str, values: Mapping[str, str]) -> tuple[str, str]:
        # Parted before anything is put in: a value with a line break stays where it belongs.
        subject, _, text = self._template(f"{kind}.txt").template.partition("\n")
        return one_line(Template(subject).safe_substitute(values)), Template(text.lstrip("\n")).safe_substitute(values)

    def _template(self, name: str) -> Template:
        if name not in self._read:
            self._read[name] = Template(self._path(name).read_text("utf-8"))
        return self._read[name]

    def _path(self, name: str) -> Path:
        if self.directory is not None and (self.directory / name).is_file():
            return self.directory / name
        return OURS / name
