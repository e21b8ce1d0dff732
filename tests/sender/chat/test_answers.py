"""What is made of a server's answer, whatever the server sends."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.errors import FailureCode
from captionfleet.messages import Usage
from captionfleet.sender.chat.answers import Answer, AnswerReader, error_of
from captionfleet.sender.chat.events import EventLines
from captionfleet.sender.routing.verdict import Verdict
from tests.support.replica import completion, sse_lines

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.sampled_from(["1", "nan", "-inf", "9" * 500]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                """choices message delta content text index finish_reason usage prompt_tokens
            completion_tokens prompt_tokens_details cached_tokens error code message status
            perf_metrics prefill-queue-duration""".split()
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def read(
    raw: bytes, *, streamed: bool = False, headers: dict[str, str] | None = None
) -> Answer | Verdict:
    reader = AnswerReader(streamed=streamed)
    reader.feed(raw)
    return reader.close(headers or {})


def code(outcome: Answer | Verdict) -> FailureCode:
    assert isinstance(outcome, Verdict)
    return outcome.code


def changed(**choice: Any) -> bytes:
    whole = completion()
    whole["choices"][0] |= choice
    return orjson.dumps(whole)


@pytest.mark.parametrize("streamed", [False, True])
def test_good_answer_is_read(*, streamed: bool) -> None:
    """Text, finish reason and token counts are the same from whole and streamed answers."""
    raw = b"".join(sse_lines()) if streamed else orjson.dumps(completion())
    assert read(raw, streamed=streamed) == Answer(
        "A red ball rolls.", "stop", Usage(70, 3, 73, 7), {}
    )


def test_length_is_a_fact_and_no_failure() -> None:
    """A caption cut at max_tokens is a caption."""
    answer = read(changed(finish_reason="length"))
    assert isinstance(answer, Answer)
    assert answer.finish_reason == "length"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (
            {"finish_reason": "content_filter", "message": {"content": ""}},
            FailureCode.UNFINISHED_ANSWER,
        ),
        ({"finish_reason": "error"}, FailureCode.UNFINISHED_ANSWER),
        ({"finish_reason": "abort"}, FailureCode.UNFINISHED_ANSWER),
        ({"message": {"content": ""}}, FailureCode.EMPTY_CAPTION),
        ({"message": {"content": " \n\t"}}, FailureCode.EMPTY_CAPTION),
        ({"message": {"content": None}}, FailureCode.EMPTY_CAPTION),
        ({"message": {"content": 7}}, FailureCode.EMPTY_CAPTION),
        ({"message": None}, FailureCode.EMPTY_CAPTION),
    ],
)
def test_answers_without_caption_have_a_code(choice: dict[str, Any], expected: FailureCode) -> None:
    """An answer that holds no caption is a failure with its own code."""
    assert code(read(changed(**choice))) is expected


def test_what_the_model_decided_is_not_asked_again() -> None:
    """A content filter decides the same way again, an upstream error need not."""
    decided, broken = (
        read(changed(finish_reason="content_filter", message={"content": ""})),
        read(changed(finish_reason="error")),
    )
    assert isinstance(decided, Verdict)
    assert isinstance(broken, Verdict)
    assert (decided.retry, broken.retry) == (False, True)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"null", b"{}", b'{"choices":[]}', b"[" * 100_000, b"\xff\xfe"]
)
def test_no_completion_is_malformed(raw: bytes) -> None:
    """Whatever is no chat completion is called malformed."""
    assert code(read(raw)) is FailureCode.MALFORMED_ANSWER


def test_content_in_parts_is_joined() -> None:
    """Servers that send the text in parts are understood."""
    parts = [{"type": "text", "text": "A red"}, {"type": "x"}, 5, {"text": " ball."}]
    answer = read(changed(message={"content": parts}))
    assert isinstance(answer, Answer)
    assert answer.text == "A red ball."


def test_lone_surrogates_become_valid_text() -> None:
    """An escaped half character does not lose the caption, and the caption stays valid UTF-8."""
    answer = read(json.dumps(completion("ball \ud83d rolls")).encode())
    assert isinstance(answer, Answer)
    assert answer.text == "ball \ufffd rolls"


def test_character_split_over_two_chunks_is_joined() -> None:
    """Two chunks that hold half an emoji each give one emoji."""
    halves = [
        {"choices": [{"delta": {"content": "\ud83d"}}]},
        {"choices": [{"delta": {"content": "\ude00"}, "finish_reason": "stop"}]},
    ]
    answer = read(
        b"".join(b"data: %s\n\n" % json.dumps(half).encode() for half in halves), streamed=True
    )
    assert isinstance(answer, Answer)
    assert answer.text == "\N{GRINNING FACE}"


def test_numbers_may_be_text_nan_or_absurd() -> None:
    """Token counts are whole numbers of a sane size or unknown, never guessed."""
    usage = {
        "prompt_tokens": "70",
        "completion_tokens": float("nan"),
        "total_tokens": -1,
        "prompt_tokens_details": [],
    }
    answer = read(json.dumps(completion(usage=usage)).encode())
    assert isinstance(answer, Answer)
    assert answer.usage == Usage(prompt_tokens=70)


def test_documented_metrics_are_kept() -> None:
    """Timings come from headers or the body under their documented names, numbers as numbers."""
    raw = orjson.dumps(completion(perf_metrics={"prefill-duration": "0.25", "evil": 1}))
    headers = {
        "fireworks-server-time-to-first-token": "0.4",
        "fireworks-backend-host": "h\n" + "x" * 500,
        "fireworks-unknown": "1",
        "x-request-id": "r-1",
        "cf-ray": "ray",
    }
    answer = read(raw, headers=headers)
    assert isinstance(answer, Answer)
    host = answer.server.pop("backend-host")
    assert answer.server == {
        "prefill-duration": 0.25,
        "server-time-to-first-token": 0.4,
        "x-request-id": "r-1",
    }
    assert isinstance(host, str)
    assert len(host) == 100
    assert host.isprintable()
    assert answer.ttft_s == 0.4


def test_missing_usage_is_taken_from_headers() -> None:
    """Where the body tells no prompt tokens, the documented headers do."""
    headers = {"fireworks-prompt-tokens": "70", "fireworks-cached-prompt-tokens": "9"}
    answer = read(orjson.dumps(completion(usage=None)), headers=headers)
    assert isinstance(answer, Answer)
    assert answer.usage == Usage(prompt_tokens=70, cached_tokens=9)


@given(JSON)
def test_no_answer_raises(value: Any) -> None:
    """Any JSON at all, whole or as a chunk, gives a caption that can be written or a verdict."""
    raw = json.dumps(value).encode()
    for outcome in (
        read(raw),
        read(json.dumps(completion() | {"choices": value, "usage": value}).encode()),
        read(b"data: " + raw + b"\n\n", streamed=True),
        read(raw, streamed=True),
    ):
        if isinstance(outcome, Answer):
            orjson.dumps(outcome)
            assert outcome.text.strip()
        else:
            assert outcome.detail.isprintable()


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    """Any bytes at all are read without an exception."""
    read(raw)
    read(raw, streamed=True)
    error_of(raw)


STREAMS = [
    b"".join(sse_lines("Zwölf rote Bälle \N{GRINNING FACE}")),
    b"".join(sse_lines()).replace(b"\n", b"\r\n"),
    b"".join(sse_lines()).replace(b"\n", b"\r"),
    b"\xef\xbb\xbf: hello\nevent: ping\ndata: {}\n\n" + b"".join(sse_lines()),
    b"".join(sse_lines(finish=None)),
    b"".join(sse_lines()[:2]) + b'event: error\ndata: {"error": {"code": 503}}\n\n',
    b"".join(sse_lines()).replace(b": ", b":").rstrip(),
    b'data: {"choices":\ndata: [{"delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n',
]


@pytest.mark.parametrize("raw", STREAMS)
@settings(max_examples=40)
@given(data=st.data())
def test_any_split_of_a_stream_reads_the_same(raw: bytes, data: st.DataObject) -> None:
    """However the network cuts the bytes of a stream, the outcome is the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    reader = AnswerReader(streamed=True)
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        reader.feed(raw[start:end])
    assert reader.close({}) == read(raw, streamed=True)


@pytest.mark.parametrize("raw", STREAMS)
def test_a_stream_that_comes_byte_by_byte_reads_the_same(raw: bytes) -> None:
    """The smallest pieces that there are change nothing either."""
    bytewise = AnswerReader(streamed=True)
    for byte in raw:
        bytewise.feed(bytes([byte]))
    assert bytewise.close({}) == read(raw, streamed=True)


def test_all_line_ends_read_the_same() -> None:
    """CR, LF and CRLF all end a line of a stream."""
    lf, crlf, cr = (
        read(b"".join(sse_lines()).replace(b"\n", end), streamed=True)
        for end in (b"\n", b"\r\n", b"\r")
    )
    assert isinstance(lf, Answer)
    assert lf == crlf == cr


@pytest.mark.parametrize(
    "raw",
    [
        b"".join(sse_lines()[:3]),
        b"".join(sse_lines(finish=None)[:-1]),
        b"",
        b": only a comment\n\n",
        b"".join(sse_lines()[:3]) + b'data: {"choi',
    ],
)
def test_stream_that_ends_early_is_truncated(raw: bytes) -> None:
    """Without finish_reason and end mark a stream is no caption."""
    assert code(read(raw, streamed=True)) is FailureCode.TRUNCATED_ANSWER


def test_end_mark_may_be_missing() -> None:
    """A caption with its finish_reason is complete, and paid for, without the end mark."""
    assert isinstance(read(b"".join(sse_lines()[:-2]), streamed=True), Answer)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"error": {"message": "x", "code": "upstream"}}, FailureCode.STREAM_ERROR),
        ({"error": {"message": "x", "code": 400}}, FailureCode.REJECTED),
        ({"error": {"status_code": 503}}, FailureCode.OVERLOADED),
        ({"error": {"status": "504"}}, FailureCode.TIMEOUT),
        ({"error": {"code": 401}}, FailureCode.STREAM_ERROR),
        ({"error": "boom"}, FailureCode.STREAM_ERROR),
    ],
)
@pytest.mark.parametrize("as_event", [False, True])
def test_error_inside_a_stream_is_classified(
    *, error: dict[str, Any], expected: FailureCode, as_event: bool
) -> None:
    """An error inside a 200 stream counts by the upstream's status, and is never fatal."""
    line = (b"event: error\n" if as_event else b"") + b"data: " + orjson.dumps(error) + b"\n\n"
    outcome = read(b"".join(sse_lines()[:2]) + line, streamed=True)
    assert code(outcome) is expected
    assert isinstance(outcome, Verdict)
    assert not outcome.fatal


def test_error_in_a_whole_answer_is_malformed() -> None:
    """A 200 whose body is an error object is no caption."""
    assert code(read(b'{"error": {"message": "x"}}')) is FailureCode.MALFORMED_ANSWER


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": {"message": "m", "code": "C"}}', ("C", "m")),
        (b'{"error": {"message": "m", "code": 503}}', ("503", "m")),
        (b'{"error": "m"}', (None, "m")),
        (b'{"code": 5, "message": "m", "details": []}', ("5", "m")),
        (b'{"error": null}', (None, "")),
        (b"<html>503</html>", (None, "")),
        (b'\xef\xbb\xbf{"error": {"message": "m", "code": 503}}', ("503", "m")),
        (b'{"detail": "m"}', (None, "m")),
        (
            b'{"detail": [{"loc": ["body", "max_tokens"], "msg": "field required"}]}',
            (None, "body.max_tokens: field required"),
        ),
        (b'{"msg": "m"}', (None, "m")),
        (b'{"message": "m"}', (None, "m")),
        (b'{"errors": ["m", "n"]}', (None, "m")),
        (b'{"errors": [{"message": "m"}]}', (None, "m")),
        (b'{"error": {"error": {"message": "m"}, "code": 1}}', ("1", "m")),
        (b'[{"error": {"code": 400, "message": "m"}}]', ("400", "m")),
    ],
)
def test_error_bodies_of_all_dialects_are_read(body: bytes, expected: tuple[str, str]) -> None:
    """The code and the message are found in the error bodies of all known servers."""
    assert error_of(body) == expected


def test_a_line_of_plain_text_is_the_servers_words() -> None:
    """The first line of text/plain is a message; a page is none, whatever it is called."""
    assert error_of(b"  no room\nmore", "text/plain") == (None, "no room")
    assert error_of(b"no room", "text/html") == (None, "")
    assert error_of(b"\n<html>no room</html>", "text/plain") == (None, "")


def chunk(text: str | None = None, reason: object = None, **delta: Any) -> bytes:
    """One event of a stream."""
    content = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": content | delta, "finish_reason": reason}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


DONE = b"data: [DONE]\n\n"


@given(st.lists(st.sampled_from(["a ", "ball "]), min_size=2, max_size=5), st.data())
def test_a_finish_reason_on_every_chunk_cuts_nothing_off(
    words: list[str], data: st.DataObject
) -> None:
    """A stream ends with its end mark or the connection, however often it says stop."""
    raw = b"".join(chunk(word, "stop") for word in words)
    for ended in (raw, raw + DONE):
        cut = data.draw(st.integers(0, len(ended)))
        reader = AnswerReader(streamed=True)
        reader.feed(ended[:cut])
        reader.feed(ended[cut:])
        answer = reader.close({})
        assert isinstance(answer, Answer)
        assert answer.text == "".join(words).strip()
    reader = AnswerReader(streamed=True)
    reader.feed(raw)
    assert not reader.is_complete
    assert not reader.awaits_end


@pytest.mark.parametrize("beat", [b"", b"null", b"[]", b"{}", b'""', b'{"type": "ping"}'])
def test_heartbeats_are_ignored(beat: bytes) -> None:
    """Events that hold nothing change nothing."""
    raw = b"".join(b"data: " + beat + b"\n\n" + line for line in sse_lines())
    assert read(raw, streamed=True) == read(b"".join(sse_lines()), streamed=True)


@pytest.mark.parametrize(
    ("reason", "known"),
    [
        ("eos", "stop"), ("eos_token", "stop"), ("end_turn", "stop"), ("STOP", "stop"),
        ("max_tokens", "length"), ("MAX_TOKENS", "length"), (None, "unknown"), ("", "unknown"),
        (7, "unknown"), ("ran dry", "ran dry"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
def test_finish_reasons_of_all_dialects_are_a_caption(
    *, reason: object, known: str, streamed: bool
) -> None:
    """Text that arrived whole is a caption, whatever word the server has for its end."""
    raw = chunk("A ball.", reason) + DONE if streamed else changed(finish_reason=reason)
    answer = read(raw, streamed=streamed)
    assert isinstance(answer, Answer)
    assert answer.finish_reason == known


def test_an_answer_without_finish_reason_is_a_caption() -> None:
    """The key may be missing."""
    whole = completion()
    del whole["choices"][0]["finish_reason"]
    answer = read(orjson.dumps(whole))
    assert isinstance(answer, Answer)
    assert answer.finish_reason == "unknown"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_thinking_that_used_up_max_tokens_says_what_to_do(*, key: str, streamed: bool) -> None:
    """It is not asked again, and what it cost is known."""
    message = {"content": None, key: "hm"}
    raw = changed(finish_reason="length", message=message)
    if streamed:
        end = b'data: {"choices": [], "usage": {"completion_tokens": 3}}\n\n'
        raw = chunk(**{key: "hm"}) + chunk(reason="length") + end + DONE
    verdict = read(raw, streamed=streamed)
    assert isinstance(verdict, Verdict)
    assert (verdict.code, verdict.retry) == (FailureCode.EMPTY_CAPTION, False)
    assert verdict.detail == (
        "max_tokens was reached after 3 tokens while the model was thinking: raise max_tokens"
    )
    assert verdict.usage.completion_tokens == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_an_answer_that_says_so(*, streamed: bool) -> None:
    """The model's own words are the text, which is paid for."""
    raw = changed(message={"content": None, "refusal": "I can't."})
    raw = chunk(refusal="I ") + chunk(reason="stop", refusal="can't.") + DONE if streamed else raw
    answer = read(raw, streamed=streamed)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.is_refused) == ("I can't.", True)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart_from_the_caption(*, key: str, streamed: bool) -> None:
    """Whole and in pieces, by either name."""
    raw = changed(message={"content": "A ball.", key: "A round thing."})
    if streamed:
        raw = (
            chunk(**{key: "A round "}) + chunk(**{key: "thing."}) + chunk("A ball.", "stop") + DONE
        )
    answer = read(raw, streamed=streamed)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.reasoning) == ("A ball.", "A round thing.")


def test_what_a_filter_left_is_an_answer_that_says_so() -> None:
    """Text that a filter cut off is paid for, and no caption as it should be."""
    answer = read(changed(finish_reason="content_filter", message={"content": "A b"}))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.is_refused) == ("A b", True)


@pytest.mark.parametrize(
    "choice",
    [
        {"text": "A ball.", "finish_reason": "stop"},
        {"index": 1, "message": {"content": "A ball."}, "finish_reason": "stop"},
        {"delta": {"content": "A ball."}, "finish_reason": "stop"},
        {"message": {"content": ["A ", "ball."]}, "finish_reason": "stop"},
        {"message": {"content": {"text": "A ball."}}, "finish_reason": "stop"},
        {
            "message": {"content": [{"type": "thinking", "text": "hm"}, {"text": "A ball."}]},
            "finish_reason": "stop",
        },
    ],
)
def test_text_is_found_where_servers_put_it(choice: dict[str, Any]) -> None:
    """Other shapes of the same caption are read."""
    answer = read(orjson.dumps(completion(choices=[choice])))
    assert isinstance(answer, Answer)
    assert answer.text == "A ball."


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings_of_json_are_read(encoding: str) -> None:
    """A byte order mark before the JSON is skipped."""
    assert isinstance(read(json.dumps(completion()).encode(encoding)), Answer)


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\r" not in b and b"\n" not in b)))
def test_events_survive_framing(payloads: list[bytes]) -> None:
    """What was framed as events comes out as it went in."""
    framed = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    assert [data for _, data in EventLines().feed(framed)] == payloads
