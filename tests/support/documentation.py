"""What is written about the project: README, and the READMEs beside what they describe."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = "README.md"
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def pages() -> dict[str, str]:
    """The text of each page, by its path from the root, such as `gateway/cli/README.md`."""
    below = (path for folder in ("gateway", "tests") for path in sorted((ROOT / folder).rglob("*.md")))
    found = (ROOT / README, *(path for path in below if "node_modules" not in path.parts))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in found}


def page(path: str) -> str:
    """The text of one page, by its path from the root."""
    return (ROOT / path).read_text(encoding="utf-8")


def documents() -> dict[str, str]:
    """The GraphQL documents that pages show, by the page's path and their number there."""
    return {
        f"{path} {number}": document
        for path, text in pages().items()
        for number, document in enumerate(re.findall(r"```graphql\n(.*?)```", text, re.DOTALL))
    }


def links(text: str) -> list[tuple[str, str]]:
    """Where a page leads within the project: paths as it writes them, each with a heading's name or nothing.

    >>> links("[a](../cli/README.md#settings), [b](https://a.example/) and [c](#d)")
    [('../cli/README.md', 'settings'), ('', 'd')]
    """
    found = re.findall(r"\]\(([^()\s]+)\)", FENCED.sub("", text))
    split = (link.partition("#") for link in found if "://" not in link)
    return [(path, heading) for path, _, heading in split]


def headings(text: str) -> set[str]:
    """The names by which links find the headings of a page: `## I want to …` is `i-want-to-`."""
    found = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}
