"""A large suite on an endpoint: what is left of the server's own throughput, and memory over the number of cases.

The server is a stub in a process of its own: it answers every request after a fixed time, as many at once as are asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

CONCURRENT = 64
SECONDS = 0.1
"""How long the stub takes for an answer."""
REQUESTS = 6_000
FEW, MANY = 10_000, 100_000
TEXT = json.dumps({"intent": "refund", "order": "20240317", "note": "word " * 40})
Row = tuple[str, str, str]


def rows() -> Iterator[Row]:
    """Throughput beside a bare client's, then memory."""
    with _stub(SECONDS) as url:
        bare = max(_bare(url) for _ in range(2))
        ours = _measured("run", url, str(REQUESTS))
    how = f"{CONCURRENT} at once, the stub takes {SECONDS * 1000:.0f} ms; a bare client gets {bare:.0f}/s"
    yield "endpoint run", f"{ours['per_s']:.0f} answers/s", f"{ours['per_s'] / bare:.0%} of it; {how}"
    with _stub(0.0) as url:
        found = {cases: _measured("run", url, str(cases)) for cases in (FEW, MANY)}
    few, many = found[FEW], found[MANY]
    grown = f"{few['grown'] / 1e6:.0f} MB with {FEW:,} cases; the suite itself takes {many['loaded'] / 1e6:.0f} MB"
    yield f"memory while {MANY:,} cases are answered", f"+{many['grown'] / 1e6:.0f} MB", grown
    yield "the same, at full speed", f"{many['per_s']:.0f} answers/s", "the stub answers at once, on the same 2 cores"


def _measured(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.endpoint", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _stub(seconds: float) -> Iterator[str]:
    """The stub's base URL while it runs."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.endpoint", "stub", str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    finally:
        server.kill()
        server.wait()


# --- the stub and a bare client ------------------------------------------------------------------------------


def _response() -> bytes:
    choice = {"message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 60}}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def _serve(seconds: float) -> None:
    response = _response()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await _read_message(reader)
                await asyncio.sleep(seconds)
                writer.write(response)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _read_message(reader: asyncio.StreamReader) -> None:
    """One HTTP message with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))


def _bare(url: str) -> float:
    """Answers a second that a client gets which does nothing but send and read."""
    host, port = url.split("/")[2].split(":")
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 300}]}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def ask(times: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(times):
            writer.write(request)
            await _read_message(reader)
        writer.close()

    async def all_at_once() -> None:
        await asyncio.gather(*(ask(REQUESTS // CONCURRENT) for _ in range(CONCURRENT)))

    start = time.perf_counter()
    asyncio.run(all_at_once())
    return REQUESTS // CONCURRENT * CONCURRENT / (time.perf_counter() - start)


# --- our run, in a process of its own ------------------------------------------------------------------------


def _run(url: str, cases: int) -> dict[str, float]:
    """Answers a second of a whole run without its report, and the bytes by which memory grew while it answered."""
    import psutil

    from qwenlab.chat.endpoint_contestant import EndpointContestant
    from qwenlab.chat.endpoint_pace import Pace
    from qwenlab.evals import asking
    from qwenlab.evals.answers import AnswerLog
    from qwenlab.evals.suite_model import Case, Suite

    process = psutil.Process()
    with closing(EndpointContestant("far", f"{url}#m", Pace(CONCURRENT))) as contestant:
        before = process.memory_info().rss
        made = [Case(id=f"c{number}", prompt=f"{number} " + "x" * 300, expected={}) for number in range(cases)]
        suite = Suite(name="many", schema={}, cases=made)
        loaded = process.memory_info().rss
        peak, start = loaded, time.perf_counter()

        def look(progress: asking.Progress) -> None:
            nonlocal peak
            if progress.done % 500 == 0:
                peak = max(peak, process.memory_info().rss)

        with tempfile.TemporaryDirectory() as folder:
            meter = asking.Meter("far", 0, 1, cases, look)
            asking.answer_all(suite, contestant, AnswerLog(Path(folder) / "answers.jsonl"), meter, lambda: False)
        seconds = time.perf_counter() - start
    return {"per_s": cases / seconds, "grown": peak - loaded, "loaded": loaded - before}


def main() -> None:
    """Be the stub, or run the suite and print the measurement as JSON."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    if sys.argv[1] == "stub":
        asyncio.run(_serve(float(sys.argv[2])))
    else:
        print(json.dumps(_run(sys.argv[2], int(sys.argv[3]))))


if __name__ == "__main__":
    main()
