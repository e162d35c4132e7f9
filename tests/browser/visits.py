"""Somebody's browser: who is in, and everything that it should not have done."""

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request

from tests.browser.towns import ARTEFACTS, NOWHERE, Town

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
_SERIOUS = {"serious", "critical"}
#: Words of the browser about what the server meant: a 404 page is a page.
_EXPECTED = ("Failed to load resource: the server responded with a status of",)
#: Behind glass: a mail wanted something, and the frame that it is in did not let it.
_KEPT_IN = ("Content Security Policy", "sandboxed")


@dataclass
class Visit:
    """One page in one browser, as somebody or as nobody."""

    url: str  #: of the house that they visit
    page: Page
    context: BrowserContext
    troubles: list[str] = field(default_factory=list)
    outside: list[Request] = field(default_factory=list)  #: asked of others than us

    def open(self, path: str, status: int = 200) -> Page:
        """After all redirects."""
        answer = self.page.goto(self.url + path, wait_until="load")
        assert answer is not None
        assert answer.status == (404 if path.startswith(NOWHERE) else status), f"{path}: {answer.status}"
        return self.page

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def look(self, theme: Theme, width: int, height: int = 900) -> None:
        self.page.emulate_media(color_scheme=theme)
        self.page.set_viewport_size({"width": width, "height": height})

    def keep(self, name: str) -> None:
        """A picture for whoever looks after the tests."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True, animations="disabled")

    def overflow(self) -> int:
        """By how many pixels the document is wider than what one sees of it."""
        return int(
            self.page.evaluate(
                "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    def sticks_out(self) -> list[str]:
        """What makes it wider: to be told to whoever mends it."""
        return list(
            self.page.evaluate(
                """() => [...document.querySelectorAll('body *')]
                    .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
                    .slice(0, 5)
                    .map(each => each.outerHTML.slice(0, 160))"""
            )
        )

    def unfit(self) -> list[str]:
        """What somebody cannot use who sees, hears or moves otherwise: axe, serious or critical."""
        found: dict[str, Any] = Axe().run(self.page).response
        return [
            f"{each['id']} ({each['impact']}): {each['help']}: "
            + "; ".join(f"{node['target']} {node['html'][:160]}" for node in each["nodes"][:4])
            for each in found["violations"]
            if each["impact"] in _SERIOUS
        ]

    # --- what it should not do ---

    def watch(self) -> None:
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.troubles.append(f"{self.path}: {error}"))
        self.page.on("console", self._console)
        self.context.on("request", self._request)
        self.context.on("requestfailed", self._kept_in)

    def _dialog(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload":
            dialog.accept()
            return
        self.troubles.append(f"{self.path}: a dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type != "error" or message.text.startswith(_EXPECTED):
            return
        where = message.location["url"]
        if urlsplit(where).path.endswith("/mail") and any(words in message.text for words in _KEPT_IN):
            return
        self.troubles.append(f"{self.path}: {message.text[:300]} ({where})")

    def _request(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.scheme in {"data", "about", "blob"}:
            return
        if f"{where.scheme}://{where.netloc}" != self.url:
            self.outside.append(request)

    def _kept_in(self, request: Request) -> None:
        """The page's own policy forbade it before it left: the browser speaks of it all the same."""
        if request in self.outside and request.failure == "csp":
            self.outside.remove(request)


class Visits:
    """All that one test opens."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._open: list[Visit] = []
        self.troubles: list[str] = []

    def by(self, town: Town, who: str | None, *, scripts: bool = True, zone: str = "Europe/Oslo") -> Visit:
        """`who`: admin, reviewer, viewer; None: somebody who is not in."""
        visit = self.at(town.url, scripts=scripts, zone=zone)
        if who is not None:
            name, token = town.session(who)
            visit.context.add_cookies([{"name": name, "value": token, "url": town.url}])
        return visit

    def at(self, url: str, *, scripts: bool = True, zone: str = "Europe/Oslo") -> Visit:
        """Somebody who is not in."""
        context = self._browser.new_context(
            java_script_enabled=scripts,
            timezone_id=zone,
            locale="en-GB",
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(10_000)
        visit = Visit(url=url, page=context.new_page(), context=context)
        visit.watch()
        self._open.append(visit)
        return visit

    def leave(self) -> None:
        """Whoever is still there."""
        while self._open:
            visit = self._open.pop()
            self.troubles += visit.troubles
            self.troubles += [f"it asked for {each.url[:200]}" for each in visit.outside]
            visit.context.close()
