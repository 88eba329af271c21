"""A headless Chromium with a pretended camera and microphone, spoken to in the DevTools protocol. One process a person."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START_SECONDS = 30.0
ANSWER_SECONDS = 30.0
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", "--window-size=1000,700",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)  # fmt: skip


def find_chromium() -> str | None:
    """VOICECHAT_TEST_CHROMIUM, or the first known name on the PATH."""
    given = os.environ.get("VOICECHAT_TEST_CHROMIUM")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(slots=True)
class Frame:
    """One document: the page itself, or a frame in it that runs in a process of its own."""

    session_id: str
    url: str


@dataclass(slots=True)
class Chromium:
    """A running browser with one page."""

    process: subprocess.Popen[bytes]
    http: aiohttp.ClientSession
    socket: aiohttp.ClientWebSocketResponse
    console: deque[str] = field(default_factory=lambda: deque(maxlen=2000))
    page: str = ""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _reader: asyncio.Task[None] | None = None
    _contexts: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Execution context -> (frame id, origin+name)."""

    @classmethod
    async def start(cls, program: str, profile: Path, *arguments: str) -> Chromium:
        log = (profile.parent / f"{profile.name}.log").open("wb")
        command = [program, *ARGUMENTS, *arguments, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            address = await _address(profile / "DevToolsActivePort", process)
            http = aiohttp.ClientSession()
            socket = await http.ws_connect(f"ws://127.0.0.1:{address}", max_msg_size=0)
        except BaseException:
            _kill(process)
            raise
        browser = cls(process, http, socket)
        browser._reader = asyncio.create_task(browser._read())
        targets = await browser.call("Target.getTargets")
        page = next(each for each in targets["targetInfos"] if each["type"] == "page")
        attached = await browser.call("Target.attachToTarget", {"targetId": page["targetId"], "flatten": True})
        browser.page = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await browser.call(f"{domain}.enable", session=browser.page)
        return browser

    async def call(self, method: str, parameters: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """One command; raises RuntimeError with what the browser says."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        await self.socket.send_json(message)
        answer = await asyncio.wait_for(future, ANSWER_SECONDS)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", {"url": url}, self.page)

    async def before_each_document(self, script: str) -> None:
        """Runs in every document, frames included, before its own scripts."""
        await self.call("Page.addScriptToEvaluateOnNewDocument", {"source": script}, self.page)

    async def run(self, script: str, frame: str = "") -> Any:
        """The value of an expression (promises are awaited) in the page, or in the frame whose URL holds `frame`."""
        parameters: dict[str, Any] = {"expression": script, "awaitPromise": True, "returnByValue": True}
        if frame:
            parameters["contextId"] = await self._context_of(frame)
        answer = await self.call("Runtime.evaluate", parameters, self.page)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(str(details.get("exception", {}).get("description") or details["text"]))
        return answer["result"].get("value")

    async def wait_for(self, script: str, seconds: float, frame: str = "") -> Any:
        """The first true value of an expression; raises TimeoutError with the end of the console."""
        deadline = asyncio.get_running_loop().time() + seconds
        last: object = None
        while asyncio.get_running_loop().time() < deadline:
            try:
                if last := await self.run(script, frame):
                    return last
            except (RuntimeError, LookupError) as error:
                last = error
            await asyncio.sleep(0.1)
        raise TimeoutError(f"{script} stayed {last!r}; console:\n" + "\n".join(list(self.console)[-40:]))

    async def screenshot(self, file: Path) -> None:
        answer = await self.call("Page.captureScreenshot", {"format": "png"}, self.page)
        file.write_bytes(base64.b64decode(answer["data"]))

    async def close(self) -> None:
        """At once, as when a laptop is closed."""
        self.kill()
        if self._reader is not None:
            self._reader.cancel()
        await self.socket.close()
        await self.http.close()

    def kill(self) -> None:
        """No goodbye to anybody."""
        _kill(self.process)

    async def _context_of(self, part: str) -> int:
        tree = await self.call("Page.getFrameTree", session=self.page)
        frame = next((each for each in _frames(tree["frameTree"]) if part in each["url"]), None)
        if frame is None:
            raise LookupError(f"no frame with {part}")
        found = [number for number, (frame_id, _) in self._contexts.items() if frame_id == frame["id"]]
        if not found:
            raise LookupError(f"no context in {frame['url']}")
        return found[-1]

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            if "id" in event:
                future = self._answers.pop(event["id"], None)
                if future is not None and not future.done():
                    future.set_result(event)
            else:
                self._note(event.get("method", ""), event.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled":
            words = [str(each.get("value", each.get("description", each.get("type")))) for each in params["args"]]
            self.console.append(f"{params['type']}: {' '.join(words)[:600]}")
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console.append(f"exception: {details.get('exception', {}).get('description', details['text'])[:600]}")
        elif method == "Log.entryAdded":
            self.console.append(f"log: {params['entry']['text'][:400]} {params['entry'].get('url', '')[:200]}")
        elif method == "Runtime.executionContextCreated":
            context = params["context"]
            if context.get("auxData", {}).get("isDefault"):
                self._contexts[context["id"]] = (context["auxData"]["frameId"], context["origin"])
        elif method == "Runtime.executionContextDestroyed":
            self._contexts.pop(params["executionContextId"], None)
        elif method == "Runtime.executionContextsCleared":
            self._contexts.clear()


def _frames(tree: dict[str, Any]) -> list[dict[str, Any]]:
    return [tree["frame"], *(frame for child in tree.get("childFrames", []) for frame in _frames(child))]


async def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(int(START_SECONDS * 10)):
        if file.exists() and len(lines := file.read_text().split()) == 2:
            return f"{lines[0]}{lines[1]}"
        if process.poll() is not None:
            break
        await asyncio.sleep(0.1)
    raise RuntimeError("Chromium did not start")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
