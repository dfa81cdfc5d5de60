"""Headless Chromium, driven through its DevTools protocol with Python's own library: for tools/browser-*."""
import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

WAIT = 30               # seconds after which something that should happen never will
ALT, CTRL, SHIFT = 1, 2, 8


def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or sys.exit("no chromium is installed (Debian: apt-get install chromium)")


class Browser:
    def __init__(self, program):
        self.folder = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
             "--remote-debugging-port=0", "--user-data-dir=" + self.folder, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for line in self.process.stderr:
            found = re.search(rb"ws://127\.0\.0\.1:(\d+)/", line)
            if found:
                self.port = int(found.group(1))
                return
        sys.exit("%s ends at once" % program)

    def tab(self):
        wanted = urllib.request.Request("http://127.0.0.1:%d/json/new?about:blank" % self.port, method="PUT")
        with urllib.request.urlopen(wanted) as reply:
            return Tab(self.port, json.load(reply)["webSocketDebuggerUrl"])

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Tab:
    """One page and what it complains of. A WebSocket (RFC 6455): texts of JSON, ours masked."""
    CODES = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32,
             "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}

    def __init__(self, port, url):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
            % (url[url.index("/devtools"):], port, key)).encode())
        self.read = self.socket.makefile("rb")
        while self.read.readline().strip():
            pass
        self.calls, self.complaints = 0, []
        for domain in "Page", "Runtime", "Log", "Audits":
            self.call(domain + ".enable")

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        n = len(data)
        size = bytes([128 | n]) if n < 126 else struct.pack(">BH", 254, n) if n < 65536 else struct.pack(">BQ", 255, n)
        self.socket.sendall(b"\x81" + size + mask + bytes(c ^ mask[i & 3] for i, c in enumerate(data)))

    def receive(self):
        text = b""
        while True:
            first, n = self.read.read(2)
            if n == 126:
                n, = struct.unpack(">H", self.read.read(2))
            elif n == 127:
                n, = struct.unpack(">Q", self.read.read(8))
            part = self.read.read(n)
            if first & 8:                       # pings and the like
                continue
            text += part
            if first & 128:
                return json.loads(text)

    def call(self, method, **params):
        self.calls += 1
        self.send(json.dumps({"id": self.calls, "method": method, "params": params}))
        while True:
            message = self.receive()
            if message.get("id") == self.calls:
                if "error" in message:
                    raise RuntimeError("%s: %s" % (method, message["error"]))
                return message["result"]
            self.hear(message)

    def hear(self, message):
        """A server that is down is no complaint about the page: its requests that failed are looked at by the tests."""
        text = json.dumps(message.get("params"))
        told = message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded",
                                         "Audits.issueAdded")
        if told and '"source": "network"' not in text:
            self.complaints.append(text[:400])

    def js(self, code):
        result = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(code + ": " + json.dumps(result["exceptionDetails"])[:400])
        return result["result"].get("value")

    def until(self, code, wait=WAIT):
        """Whether it becomes true."""
        end = time.monotonic() + wait
        while time.monotonic() < end:
            try:
                if self.js(code):
                    return True
            except RuntimeError:                # between two pages
                pass
            time.sleep(0.02)
        print("        never: " + code)
        return False

    def open(self, url):
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)

    def key(self, key, modifiers=0):
        down = {"key": key, "modifiers": modifiers}
        if key in self.CODES:
            down["windowsVirtualKeyCode"] = self.CODES[key]
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.call("Input.dispatchKeyEvent", type="keyDown",
                  **({"text": text} if text and not modifiers & (ALT | CTRL) else {}), **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **down)

    def write(self, text):
        self.call("Input.insertText", text=text)

    def window(self, width, height, dark):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def picture(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
