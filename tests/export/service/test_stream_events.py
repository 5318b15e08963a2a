"""Events of a run that decodes: what was said is never taken back, and the end is the answer."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export.service.service import Service
from keras_attn.export.service.stream_events import Event, EventQueue, text_events
from keras_attn.export.verification.backends import SessionBackend
from keras_attn.export.verification.streams import check_streams
from keras_attn.export.verification.tolerance import FixedTolerance
from keras_attn.tokenizers import ByteTokenizer, SentencePieceTokenizer

TEXTS = ["안녕하세요 세계", "Grüße aus Köln!", "", "x", "Hund"]
ROOM = np.zeros(256, bool)


@pytest.fixture(scope="module")
def session(family):
    session = SessionBackend(family.path)
    yield session
    session.close()


def events_of(session):
    """All events that wait, by stream: lists of (length, text, last)."""
    found, taken = {}, session.ask("stream_events", {"wait": ROOM})
    while (taken["stream"] >= 0).any():
        for number, *event in zip(*(taken[name].tolist() for name in Event._fields), strict=True):
            if number >= 0:
                found.setdefault(number, []).append(tuple(event))
        taken = session.ask("stream_events", {"wait": ROOM})
    return found


def asked(name, rows, stream, request_of):
    return request_of(name, rows) | {"stream": np.array(stream, np.int64)}


@pytest.mark.parametrize("name", ["stream", "sample"])
def test_events_lead_to_the_answer(session, request_of, name):
    rows, numbers = [0, 1, 2, 3, 4, 5, 6], [10, 11, 12, -1, 14, 15, 16]
    plain = session.ask(name, request_of(name, rows))
    answer = session.ask(name, asked(name, rows, numbers, request_of))
    np.testing.assert_array_equal(answer["text"], plain["text"])
    events = events_of(session)
    assert sorted(events) == [10, 11, 12, 14, 15, 16]
    for row, number in zip(rows, numbers, strict=True):
        if number < 0:
            continue
        lengths, texts, last = zip(*events[number], strict=True)
        assert list(lengths) == sorted(lengths)
        for shorter, longer in itertools.pairwise(texts):
            assert longer.startswith(shorter)
            shorter.decode()  # whole characters
        assert texts[-1] == answer["text"][row]
        assert last == (False,) * (len(last) - 1) + (True,)
    assert max(len({text for _, text, _ in stream}) for stream in events.values()) > 2


def test_streamed_is_unstreamed(family, session):
    texts = [text.encode() for text in TEXTS]
    check = check_streams(session, texts, family.tolerance)
    assert (check.problems, check.count) == ((), 5)


def test_without_a_stream_nothing_waits(session, request_of):
    session.ask("stream", request_of("stream", [0, 1]))
    session.ask("sample", request_of("sample", [0, 1]))
    assert events_of(session) == {}


def test_a_reader_that_waits_gets_the_first_event(session, request_of):
    taken = []
    ask = lambda: taken.append(session.ask("stream_events", {"wait": np.ones(3, bool)}))  # noqa: E731
    reader = threading.Thread(target=ask)
    reader.start()
    session.ask("serving_default", request_of("serving_default", [0]))
    assert reader.is_alive()
    session.ask("stream", asked("stream", [0], [77], request_of))
    reader.join(20.0)
    assert taken[0]["stream"].shape == (3,)
    assert taken[0]["stream"][0] == 77
    events_of(session)


def test_runs_at_the_same_time_do_not_mix_their_events(session, request_of):
    with ThreadPoolExecutor(5) as pool:
        ask = lambda row: session.ask("stream", asked("stream", [row], [row], request_of))  # noqa: E731
        answers = list(pool.map(ask, range(5)))
    events = events_of(session)
    for row, answer in enumerate(answers):
        assert events[row][-1][1:] == (answer["text"][0], True)
        assert sum(last for *_, last in events[row]) == 1


def event(*numbers):
    count = len(numbers)
    stream, lengths = tf.constant(numbers, tf.int64), tf.zeros([count], tf.int32)
    return Event(stream, lengths, tf.strings.as_string(stream), tf.fill([count], False))


def test_the_queue_drops_what_nobody_reads():
    queue = EventQueue(most=5)
    for number in range(0, 21, 3):
        queue.put(event(number, number + 1, number + 2))
    assert queue.take(tf.fill([9], False)).stream.numpy().tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1]
    queue.put(event(7, -1, 8))
    taken = queue.take(tf.fill([1], True))
    assert [part.numpy().tolist() for part in taken] == [[7], [0], [b"7"], [False]]
    assert queue.take(tf.fill([0], False)).stream.shape == (0,)


def test_queues_have_names_of_their_own():
    one, other = EventQueue(), EventQueue()
    one.put(event(1))
    assert other.take(tf.constant([False])).stream.numpy().tolist() == [-1]


class Script:
    """A decoder that writes given tokens."""

    def __init__(self, ids, size):
        self.ids, self.size = ids, size

    def start(self, source):
        return [tf.zeros([tf.shape(source)[0], 1, 1])], source

    def step(self, tokens, position, state, memory):
        from keras_attn.protocols import Step

        logits = tf.one_hot(tf.zeros_like(tokens) + tf.constant(self.ids)[position], self.size) * 9
        return Step(logits, state, tf.zeros([tf.shape(memory)[0], 1, tf.shape(memory)[1]]))


@pytest.mark.parametrize("kind", ["bytes", "sentencepiece", "byte_fallback"])
def test_a_character_of_several_tokens_comes_as_a_whole(tokenizers, kind):
    text = "안녕 a녕 한국어 문장 하나"
    tokenizer = {
        "bytes": ByteTokenizer,
        "sentencepiece": lambda: tokenizers.sentencepiece,
        "byte_fallback": lambda: SentencePieceTokenizer.train(["ab ab"], 300, byte_fallback=True),
    }[kind]()
    ids = [*tokenizer.encode(tf.constant([text]))[0].numpy().tolist(), 2]
    decoder = Script(ids, tokenizer.vocabulary_size)
    service = Service(TextToText(decoder, tokenizer, tokenizer, max_length=99, max_source_length=99))
    inputs = {"text": ["x"], "stream": [3], "max_length": [99], "target_prefix": [""]}
    kinds = {"stream": tf.int64, "max_length": tf.int32}
    answer = service.answer("stream", {k: tf.constant(v, kinds.get(k)) for k, v in inputs.items()})
    taken = service.answer("stream_events", {"wait": tf.fill([150], False)})
    texts = [text for text, number in zip(taken["text"].numpy(), taken["stream"], strict=True) if number == 3]
    assert texts[-1] == answer["text"].numpy()[0] == text.encode()
    for shorter, longer in itertools.pairwise(texts):
        assert longer.startswith(shorter)
        assert "\ufffd" not in shorter.decode()
    assert len(set(texts) - {b""}) == len(text) if kind == "bytes" else len(set(texts)) > 5


def test_nothing_is_written_where_nobody_follows(tokenizers):
    queue = EventQueue()
    put = text_events(
        queue, tokenizers.characters, tf.constant([-1, 4], tf.int64), tf.constant([[7, 2], [2, 0]])
    )
    put(tf.constant([[9, 9], [9, 9]]))  # the row that is followed is an empty text: it ends with nothing
    assert queue.take(tf.constant([False])).stream.numpy().tolist() == [-1]


class Way:
    """Streams `abc`, and may have a fault."""

    name = "way"

    def __init__(self, parts, whole=b"abc"):
        self.parts, self.whole = parts, whole

    def ask(self, signature, inputs):
        return {"text": np.array([b"abc"], object)}

    def follow(self, text):
        return self.parts, {"text": np.array([self.whole], object)}


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        (Way([b"a", b"ab", b"abc"]), None),
        (Way([b"a", b"b", b"abc"]), "stream, row 0: b'a' was followed by b'b'"),
        (Way([b"a", b"ab"]), "stream, row 0: the last event says b'ab' instead of b'abc'"),
        (Way([]), "stream, row 0: the last event says None"),
        (Way([b"a", b"abd"], b"abd"), "stream, row 0: `text` is b'abd' instead of b'abc'"),
    ],
)
def test_the_check_finds_streams_that_are_not_the_answer(way, problem):
    check = check_streams(way, [b"x"], FixedTolerance(1e-5))
    assert check.name == "way, streamed"
    assert check.passed == (problem is None)
    assert problem is None or check.problems[0].startswith(problem)
