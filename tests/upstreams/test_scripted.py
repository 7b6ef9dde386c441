from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import openai
import pytest
from tests.upstreams import script as scripts
from tests.upstreams.answers import GOLDEN
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

ROOT = Path(__file__).parents[2]
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def post(upstream: Upstream, body: Mapping[str, object], path: str = "/v1/chat/completions") -> bytes:
    """Send one request on a fresh connection and return all bytes until the upstream or the framing ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    try:
        raw = json.dumps(body).encode()
        writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
        got = b""
        while piece := await asyncio.wait_for(reader.read(65536), 10):
            got += piece
            head, _, rest = got.partition(b"\r\n\r\n")
            if got.endswith(b"0\r\n\r\n") or b"content-length: %d" % len(rest) in head:
                break
        return got
    finally:
        writer.close()


def client(upstream: Upstream) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="sk-x", base_url=upstream.url, max_retries=0, timeout=10)


async def test_the_official_sdk_reads_a_whole_answer_and_its_usage(upstream: Upstream) -> None:
    async with client(upstream) as sdk:
        answer = await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "The answer is forty-two."
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)


@pytest.mark.parametrize("given", [Script(), scripts.BYTE_BY_BYTE, scripts.ALL_AT_ONCE, Script(newline="\r\n")])
async def test_the_official_sdk_reads_a_stream_however_it_is_cut(upstream: Upstream, given: Script) -> None:
    upstream.default = given
    async with client(upstream) as sdk:
        stream = await sdk.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == given.text
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []


async def test_usage_on_a_stream_comes_only_when_asked_for(upstream: Upstream) -> None:
    assert b'"usage"' not in await post(upstream, HELLO | {"stream": True})


async def test_usage_can_come_in_every_chunk_and_grows(upstream: Upstream) -> None:
    upstream.default = scripts.USAGE_IN_EVERY_CHUNK
    got = await post(upstream, HELLO | {"stream": True})
    events = [json.loads(line[6:]) for line in got.decode().splitlines() if line.startswith("data: {")]
    assert [event["usage"]["completion_tokens"] for event in events] == [1, 1, 2, 3, 4, 5, 5]


async def test_a_tool_call_comes_in_pieces(upstream: Upstream) -> None:
    upstream.default = scripts.TOOL_CALL
    async with client(upstream) as sdk:
        stream = await sdk.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True, n=2
        )
        arguments = {0: "", 1: ""}
        async for chunk in stream:
            for call in chunk.choices[0].delta.tool_calls or ():
                assert call.function is not None
                arguments[chunk.choices[0].index] += call.function.arguments or ""
    assert arguments == {0: '{"location":"Boston, MA"}', 1: '{"location":"Boston, MA"}'}


async def test_embeddings_come_as_numbers_or_base64(upstream: Upstream) -> None:
    async with client(upstream) as sdk:
        packed = await sdk.embeddings.create(model="m", input=["a", "b"])
        plain = await sdk.embeddings.create(model="m", input="a", encoding_format="float")
    assert len(packed.data) == 2
    assert packed.data[0].embedding == plain.data[0].embedding == [1 / 2**place for place in range(8)]


@pytest.mark.parametrize(
    ("given", "raised"),
    [
        (scripts.SERVER_ERROR, openai.InternalServerError),
        (scripts.RATE_LIMITED, openai.RateLimitError),
        (scripts.UNAUTHENTICATED, openai.AuthenticationError),
        (scripts.INVALID_REQUEST, openai.BadRequestError),
        (scripts.NOT_FOUND, openai.NotFoundError),
        (scripts.DROP, openai.APIConnectionError),
        (scripts.RESET, openai.APIConnectionError),
        (scripts.NOT_HTTP, openai.APIConnectionError),
    ],
)
async def test_a_fault_is_what_the_official_sdk_takes_it_for(
    upstream: Upstream, given: Script, raised: type[openai.OpenAIError]
) -> None:
    upstream.default = given
    async with client(upstream) as sdk:
        with pytest.raises(raised):
            await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_leaves_exactly_so_many_bytes_of_the_body(upstream: Upstream, stream: bool) -> None:
    body = HELLO | {"stream": stream}
    whole = (await post(upstream, body)).partition(b"\r\n\r\n")[2]
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        upstream.play(Script(cut=cut))
        got = await post(upstream, body)
        assert got.partition(b"\r\n\r\n")[2] == whole[:cut]
        assert upstream.received[-1].written == cut


async def test_scripts_are_played_in_order_and_then_the_default(upstream: Upstream) -> None:
    upstream.play(scripts.SERVER_ERROR, scripts.NOT_FOUND)
    statuses = [(await post(upstream, HELLO))[9:12] for _ in range(3)]
    assert statuses == [b"500", b"404", b"200"]


async def test_a_client_that_leaves_is_noted_with_the_events_it_had(upstream: Upstream) -> None:
    upstream.default = scripts.HANG_MID_BODY
    async with client(upstream) as sdk:
        stream = await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
        await anext(stream)
        await stream.close()
    received = upstream.received[0]
    assert await received.wait()
    assert (received.finished, received.events, received.left_at is not None) == (False, 2, True)


async def test_a_connection_is_kept_and_closed_behind_an_answer_when_the_script_says_so(upstream: Upstream) -> None:
    upstream.play(Script(), scripts.STALE, Script())
    async with client(upstream) as sdk:
        for _ in range(2):
            await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert [received.connection for received in upstream.received] == [1, 1]
    async with client(upstream) as sdk:
        await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert upstream.received[2].connection == 2


async def test_what_was_received_is_written_down_as_it_came(upstream: Upstream) -> None:
    await post(upstream, HELLO, "/v1/chat/completions?x=1")
    received = upstream.received[0]
    assert (received.method, received.path, received.header("Host")) == ("POST", "/v1/chat/completions?x=1", "x")
    assert received.body == json.dumps(HELLO).encode()
    assert received.finished


@pytest.mark.parametrize("name", ["chat_completion.json", "chat_completion_tools.json", "embeddings.json"])
async def test_answers_have_the_fields_of_the_golden_fixtures(upstream: Upstream, name: str) -> None:
    upstream.default = scripts.TOOL_CALL if "tools" in name else Script()
    path = "/v1/embeddings" if "embeddings" in name else "/v1/chat/completions"
    got = await post(upstream, HELLO | {"input": "a"}, path)
    assert json.loads(got.partition(b"\r\n\r\n")[2]).keys() == json.loads((GOLDEN / name).read_text()).keys()


def test_it_serves_threads_without_a_loop_of_their_own() -> None:
    with in_thread() as upstream:
        with openai.OpenAI(api_key="sk-x", base_url=upstream.url, max_retries=0) as sdk:
            sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert upstream.wait_for(1)
        assert upstream.received[0].over.wait(10)


def test_as_a_process_it_tells_its_port_and_what_it_saw_and_goes_with_its_parent() -> None:
    command = [sys.executable, "-m", "tests.upstreams.scripted", "--script", '{"pieces": ["hi"]}']
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        base = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        with openai.OpenAI(api_key="sk-x", base_url=base, max_retries=0) as sdk:
            sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        seen = json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(10) == 0
    assert (seen["number"], seen["finished"], json.loads(seen["body"])["model"]) == (1, True, "m")
