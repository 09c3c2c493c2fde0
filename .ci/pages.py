"""Checks the documentation that `cargo doc` has made: no brackets of links that did not
resolve, no link to an anchor that is not there, and an anchor for each rejection's code."""

import os
import pathlib
import re
import sys
from html.parser import HTMLParser

DOC = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"), "doc")
CRATES = ["tower_conductorone", "tower_conductorone_sqlx"]
RAW = re.compile(r"\[[^\[\]]+\](?:\([^)]*\))?|```")
# The lists of methods that come from traits, most of them of other crates.
OTHERS = tuple(f"{kind}-implementations-list" for kind in ("trait", "synthetic", "blanket"))
NO_BRACKETS = str.maketrans("[]", "()")
VOID = ("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr")


class Page(HTMLParser):
    """Text counts in the crate's own documentation, outside code. Other crates' methods have
    documentation with links that cannot resolve here."""

    def __init__(self, text):
        super().__init__()
        self.moved = ""
        self.ids, self.links, self.open, self.text = set(), [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "meta" and attributes.get("http-equiv") == "refresh":
            self.moved = attributes["content"].partition("URL=")[2]
        self.ids.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes.get("href") or "")
        kind = ""
        if "docblock" in (attributes.get("class") or "").split():
            kind = "ours"
        elif (attributes.get("id") or "").endswith(OTHERS) or tag == "pre":
            kind = "other"
        if tag not in VOID:
            self.open.append((tag, kind))

    def handle_endtag(self, tag):
        if tag in (open_tag for open_tag, _ in self.open):
            while self.open.pop()[0] != tag:
                pass

    def handle_data(self, data):
        kinds = [kind for _, kind in self.open]
        if "ours" in kinds and "other" not in kinds:
            # A link that did not resolve has code between its brackets.
            is_code = any(tag == "code" for tag, _ in self.open)
            self.text += f"`{data.translate(NO_BRACKETS)}`" if is_code else data


wrong, pages = [], {}
for crate in CRATES:
    for file in (DOC / crate).rglob("*.html"):
        pages[file.resolve()] = Page(file.read_text())
for file, page in pages.items():
    shown = file.relative_to(DOC.resolve())
    wrong += [f"{shown}: {raw} is no link" for raw in RAW.findall(page.text)]
    for link in page.links:
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path) or "/src/" in path:
            continue
        there = (file.parent / path).resolve() if path else file
        target = pages.get(there)
        if target and target.moved:
            target = pages.get((there.parent / target.moved).resolve())
        if anchor and target and anchor not in target.ids:
            wrong.append(f"{shown}: {link} leads nowhere")

kinds = pathlib.Path("src/rejection/kind.rs").read_text()
codes = re.findall(r'=> [A-Z_]+, "([a-z_]+)",', kinds)
anchors = pages[(DOC / CRATES[0] / "guide/rejections/index.html").resolve()].ids
wrong += [f"the guide has no anchor for the rejection {code}" for code in codes if code not in anchors]
print("\n".join(wrong) or f"{len(pages)} pages, {len(codes)} codes of rejections: all links lead somewhere")
sys.exit(bool(wrong or not codes))
