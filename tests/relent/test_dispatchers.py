"""Redis carries "look at these": whatever becomes of it, and whoever writes into it, each letter leaves once."""

import json
import logging
import pickle
import shutil
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis
from rq import Queue
from rq.job import Callback
from rq.serializers import JSONSerializer
from rq.webhook import Webhook

from engine.store import open_store
from relent import dispatchers
from relent.assemble import House
from relent.config import Redis as RedisPart
from relent.dispatchers import FUNCTION, place, queue_of, why_silent
from relent.worker import Worker
from tests.makers import enrolled, pending, sequence
from tests.redis_server import RedisServer

PEOPLE = 60
ONE_LETTER = sequence({"subject": "Quick question", "body": "Hello"})


@pytest.fixture
def database_url(tmp_path: Path, empty_sqlite: Path) -> str:
    """One kind is enough here: what a hint may claim is in tests/contracts, for both."""
    return f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'relent.db')}"


@pytest.fixture
def dialled(house: House, redis_url: str) -> House:
    return _with(house, redis_url)


def _with(house: House, url: str) -> House:
    return replace(house, config=house.config.model_copy(update={"redis": RedisPart(url=SecretStr(url))}))


@contextmanager
def _working(house: House, *, listens: bool = True) -> Iterator[Worker]:
    """Beside the test. The clock stands still, so whoever is told of a letter that is just due has it for ever."""
    worker = Worker(house, listens=listens)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.enough()
        thread.join(30)
        assert not thread.is_alive()


def _wait(look: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.02)


def _queue(house: House) -> Queue:
    url = house.config.redis.url
    assert url
    return Queue(
        queue_of(house), connection=Redis.from_url(url.get_secret_value()), serializer=JSONSerializer
    )


def _somebody_listens(house: House) -> Queue:
    """Who is told, and does nothing about it."""
    queue = _queue(house)
    queue.connection.sadd(f"rq:workers:{queue.name}", "rq:worker:somebody")
    queue.connection.hset("rq:worker:somebody", "birth", "2026-01-01T00:00:00Z")
    return queue


def _enroll(house: House, number: int = PEOPLE) -> list[str]:
    """Their drafts, whether or not they have left since."""
    for each in range(number):
        enrolled(house.store, house.clock.now(), f"p{each}@nordic.example", ONE_LETTER)
    return [draft["draft_id"] for draft in pending(house.store, house.clock.now(), ended=True)]


def _left(mailbox) -> Counter:
    return Counter(letter.key for letter in mailbox.sent)


def test_whoever_listens_is_told_and_each_letter_leaves_once(dialled, mailbox):
    with _working(dialled, listens=False), _working(replace(dialled)):
        _wait(lambda: _queue(dialled).connection.scard(f"rq:workers:{queue_of(dialled)}") == 1)
        time.sleep(1.5)  # until everybody knows that somebody listens
        ids = _enroll(dialled)
        _wait(lambda: len(mailbox.sent) == PEOPLE)

    assert _left(mailbox) == Counter(ids)
    assert list(_queue(dialled).connection.scan_iter("rq:job:*")) == [], "what was heard is taken away"


def test_only_ids_are_ever_in_redis(dialled, mailbox):
    queue = _somebody_listens(dialled)
    with _working(dialled, listens=False) as worker:
        _wait(lambda: worker._patience)
        ids = _enroll(dialled, 20)
        _wait(lambda: all(draft_id in "\n".join(_everything(queue.connection)) for draft_id in ids))
        seen = "\n".join(_everything(queue.connection))

    for word in ("nordic", "acme", "Hello", "Quick question", "p1@", "whsec_", "dispatch"):
        assert word not in seen
    assert mailbox.sent == []


def _everything(client: "Redis") -> Iterator[str]:
    """Every key and every value, unpacked."""
    for key in client.scan_iter():
        kind = client.type(key)
        found = {
            b"string": lambda key=key: [client.get(key)],
            b"list": lambda key=key: client.lrange(key, 0, -1),
            b"set": lambda key=key: client.smembers(key),
            b"zset": lambda key=key: client.zrange(key, 0, -1),
            b"hash": lambda key=key: [part for pair in client.hgetall(key).items() for part in pair],
        }[kind]()
        for value in (key, *found):
            try:
                yield zlib.decompress(value).decode()
            except zlib.error:
                yield value.decode()


def test_nobody_is_told_of_the_same_letter_twice(dialled):
    queue = _somebody_listens(dialled)
    ids = _enroll(dialled, 3)
    with _working(dialled, listens=False), _working(replace(dialled), listens=False):
        _wait(lambda: queue.count)
        time.sleep(1.5)

    jobs = [
        json.loads(zlib.decompress(queue.connection.hget(f"rq:job:{each}", "data"))) for each in queue.job_ids
    ]
    assert sorted(draft_id for _, _, [told], _ in jobs for draft_id in told) == sorted(ids)
    assert {name for name, *_ in jobs} == {FUNCTION}


def test_what_is_told_goes_by_itself_if_nobody_listens(dialled):
    queue = _somebody_listens(dialled)
    _enroll(dialled, 3)
    with _working(dialled, listens=False):
        _wait(lambda: queue.count)

    assert all(0 < queue.connection.ttl(each) <= 60 for each in queue.connection.scan_iter("rq:queue:*"))
    assert all(0 < queue.connection.ttl(each) <= 10 for each in queue.connection.scan_iter("rq:job:*"))
    assert all(0 < queue.connection.ttl(each) <= 10 for each in queue.connection.scan_iter("relent:*"))


def test_while_somebody_brakes_nobody_is_told(dialled, mailbox):
    queue = _somebody_listens(dialled)
    _enroll(dialled, 3)
    with dialled.store.transaction(dialled.clock.now(), "a test") as ledger:
        ledger.watch.brake("a test")
    with _working(dialled, listens=False):
        time.sleep(1.5)

    assert queue.count == 0
    assert mailbox.sent == []


# --- hints that are wrong ---


def _poke(house: House, *draft_ids: object, times: int = 1, **more: object) -> None:
    for _ in range(times):
        _queue(house).enqueue(FUNCTION, args=(list(draft_ids),), result_ttl=0, **more)


def test_fifty_times_the_same_hint_is_one_letter(dialled, mailbox):
    ids = _enroll(dialled, 2)
    _poke(dialled, *ids, times=50)
    with _working(dialled):
        _wait(lambda: _queue(dialled).count == 0 and len(mailbox.sent) >= 2)

    assert _left(mailbox) == Counter(ids)


def test_a_hint_can_hasten_nothing_and_revive_nothing(dialled, mailbox, clock):
    [now] = _enroll(dialled, 1)
    clock.pass_(timedelta(hours=-1))  # nobody could be due then
    _poke(dialled, now, "drf_0unknown")
    with _working(dialled):
        _wait(lambda: _queue(dialled).count == 0)
        time.sleep(0.3)
        assert mailbox.sent == []
    clock.pass_(timedelta(hours=1))
    with dialled.store.transaction(clock.now(), "a test") as ledger:
        assert ledger.drafts.cancel([now], "by hand")
    _poke(dialled, now, times=5)
    with _working(dialled):
        _wait(lambda: _queue(dialled).count == 0)
        time.sleep(0.3)

    assert mailbox.sent == []
    assert [draft["state"] for draft in pending(dialled.store, clock.now(), ended=True)] == ["cancelled"]


def test_endless_hints_at_nothing_do_not_keep_us_running(dialled, monkeypatch):
    looks = []
    real = Worker.look_at
    monkeypatch.setattr(Worker, "look_at", lambda self, ids: looks.append(ids) or real(self, ids))
    _poke(dialled, "drf_0unknown", times=300)
    with _working(dialled):
        time.sleep(3)

    assert 50 < len(looks) < 200


# --- jobs that no Relent wrote ---

BOMB = zlib.compress(b"[" + b" " * 100_000_000 + b"]")


def _job(name: object, ids: object, instance: object = None, named: object = None) -> bytes:
    return zlib.compress(json.dumps([name, instance, [ids], {} if named is None else named]).encode())


def _strange(touch: str) -> dict[str, bytes]:
    """What somebody who can write into Redis might try, by what it is."""
    return {
        "another function": _job("os.system", touch),
        "a function of ours": _job("relent.cli.main", ["drf_1"]),
        "our word, on an object": _job(FUNCTION, ["drf_1"], instance={"__class__": "os"}),
        "our word, with names": _job(FUNCTION, ["drf_1"], named={"house": 1}),
        "pickle": pickle.dumps(("os.system", None, (touch,), {})),
        "packed pickle": zlib.compress(pickle.dumps(_Touch(touch))),
        "a bomb": BOMB,
        "too long": b"x" * 200_000,
        "nothing": b"",
        "no JSON": b"hello",
        "depth": zlib.compress(b"[" * 60_000),
        "less depth": _job(json.loads("[" * 900 + "]" * 900), []),
        "a number without end": zlib.compress(b"[" + b"9" * 10_000 + b"]"),
        "half": BOMB[:20],
        "an object": zlib.compress(b"{}"),
        "ids that are none": _job(FUNCTION, ["'; DROP TABLE draft", 7, None]),
        "no list": _job(FUNCTION, "drf_1"),
        "too many": _job(FUNCTION, [f"drf_{each}" for each in range(501)]),
    }


class _Touch:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self):
        import os

        return os.system, (self._command,)


def test_a_job_that_no_relent_wrote_is_refused_and_the_worker_lives_on(dialled, mailbox, tmp_path, caplog):
    touched = tmp_path / "touched"
    queue, command = _queue(dialled), f"touch {touched}"
    client = queue.connection
    for number, data in enumerate(_strange(command).values()):
        client.hset(
            f"rq:job:strange-{number}", mapping={"data": data, "status": "queued", "origin": queue.name}
        )
        client.rpush(queue.key, f"strange-{number}")
    client.set("rq:job:text", "no hash")
    client.rpush(queue.key, "text", "not there", b"\xff\xfe", "a:b", "x" * 10_000)
    queue.enqueue("os.system", command)  # as RQ itself would write it, but for us it would be JSON
    Queue(queue.name, connection=client).enqueue("os.system", command)  # and as pickle
    ids = _enroll(dialled, 2)
    with caplog.at_level(logging.INFO), _working(dialled):
        _wait(lambda: len(mailbox.sent) == 2 and queue.count == 0)
        enrolled(dialled.store, dialled.clock.now(), "later@nordic.example", ONE_LETTER)
        _wait(lambda: len(mailbox.sent) == 3)

    assert set(ids) < set(_left(mailbox))
    assert not touched.exists()
    assert list(client.scan_iter("rq:job:*")) == []
    refusals = [each.getMessage() for each in caplog.records if "no Relent wrote" in each.getMessage()]
    assert len(refusals) == 1
    assert "Traceback" not in caplog.text


def test_what_rq_would_do_around_a_job_is_not_done(dialled, mailbox, tmp_path):
    """Callbacks, webhooks, retries, dependents: a job may name them all, and be ours in everything else."""
    touched, ids = tmp_path / "touched", _enroll(dialled, 1)
    queue = _queue(dialled)
    job = queue.create_job(
        FUNCTION,
        args=(ids,),
        on_success=Callback("tests.relent.test_dispatchers.touch"),
        on_failure=Callback("tests.relent.test_dispatchers.touch"),
        webhooks=[Webhook("http://127.0.0.1:9/hook", "finished")],
        meta={"touch": str(touched)},
    )
    job.retries_left, job.repeats_left, job.group_id = 9, 9, "group"
    queue.enqueue_job(job)
    queue.connection.set("rq:suspended", 1)
    with _working(dialled):
        _wait(lambda: len(mailbox.sent) == 1)
        _wait(lambda: not list(queue.connection.scan_iter("rq:job:*")))
        [name] = queue.connection.smembers("rq:workers")
        order = name.decode().replace("rq:worker:", "rq:pubsub:")
        assert queue.connection.publish(order, json.dumps({"command": "shutdown"})) == 0, (
            "nobody takes orders"
        )

    assert not touched.exists()
    assert _left(mailbox) == Counter(ids)


def touch(job, *_):
    """What a job names, if anybody ever called it."""
    with open(job.meta["touch"], "w") as file:  # noqa: PTH123
        file.write("called")


# --- a Redis that is of no use ---


def _down(server: RedisServer) -> None:
    server.kill()


def _full(server: RedisServer) -> None:
    server.client().config_set("maxmemory", "1")


def _read_only(server: RedisServer) -> None:
    server.client().execute_command("REPLICAOF", "127.0.0.1", "1")


def _frozen(server: RedisServer) -> None:
    server.freeze()


def _another_password(server: RedisServer) -> None:
    server.client().config_set("requirepass", "another")


@pytest.mark.parametrize("happens", [_down, _full, _read_only, _frozen, _another_password])
def test_with_a_redis_that_is_of_no_use_everything_leaves(house, mailbox, own_redis, happens, caplog):
    dialled = _with(
        house, own_redis.url.replace("//", "//:se%2Fcret@") if happens is _down else own_redis.url
    )
    happens(own_redis)
    ids = _enroll(dialled, 5)
    begun = time.monotonic()
    with caplog.at_level(logging.INFO), _working(dialled):
        _wait(lambda: len(mailbox.sent) == 5)
        assert time.monotonic() - begun < 5
        time.sleep(2)

    assert _left(mailbox) == Counter(ids)
    outages = [each.getMessage() for each in caplog.records if "of no use" in each.getMessage()]
    assert len(outages) <= 1, outages
    assert outages or happens is _frozen  # who may still answer, for a while
    assert "cret" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("tail", ["99", "15?db=99"])
def test_another_database_of_redis_than_there_is_only_latency(house, mailbox, own_redis, tail):
    dialled = _with(house, own_redis.url.removesuffix("0") + tail)
    _enroll(dialled, 2)
    with _working(dialled):
        _wait(lambda: len(mailbox.sent) == 2)


def test_keys_of_another_kind_are_an_outage_and_no_crash(dialled, mailbox, caplog):
    queue = _queue(dialled)
    queue.connection.set(queue.key, "text")
    queue.connection.set(f"rq:workers:{queue.name}", "text")
    _enroll(dialled, 2)
    with caplog.at_level(logging.INFO), _working(dialled):
        _wait(lambda: len(mailbox.sent) == 2)

    assert "WRONGTYPE" in caplog.text


def test_redis_dies_comes_back_and_is_used_again(house, mailbox, own_redis, caplog, monkeypatch):
    dialled = _with(house, own_redis.url)
    monkeypatch.setattr(dispatchers, "_SHOW_UP", 0.5)
    with caplog.at_level(logging.INFO), _working(dialled) as worker:
        _wait(lambda: worker._patience)
        own_redis.kill()
        _wait(lambda: not worker._patience)
        _enroll(dialled, 2)
        _wait(lambda: len(mailbox.sent) == 2)
        own_redis.start()
        _wait(lambda: worker._patience)
        enrolled(dialled.store, dialled.clock.now(), "later@nordic.example", ONE_LETTER)
        _wait(lambda: len(mailbox.sent) == 3)

    told = [each.getMessage() for each in caplog.records if each.name == "relent.dispatchers"]
    assert len(told) == 2, told
    assert "of no use" in told[0]
    assert "is back" in told[1]


def test_redis_forgets_everything_and_nobody_is_forgotten(dialled, mailbox):
    with _working(dialled) as worker:
        _wait(lambda: worker._patience)
        Redis.from_url(dialled.config.redis.url.get_secret_value()).flushall()
        ids = _enroll(dialled)
        Redis.from_url(dialled.config.redis.url.get_secret_value()).flushall()
        _wait(lambda: len(mailbox.sent) == PEOPLE)

    assert _left(mailbox) == Counter(ids)


def test_a_queue_that_nobody_empties_is_waited_for_no_more(dialled, mailbox):
    queue = _somebody_listens(dialled)
    queue.connection.rpush(queue.key, *(f"old-{each}" for each in range(300)))
    _enroll(dialled, 2)
    with _working(dialled, listens=False):
        _wait(lambda: len(mailbox.sent) == 2)

    assert queue.count == 300


def test_why_redis_is_silent_is_told_without_its_password(redis_url):
    assert why_silent(SecretStr(redis_url)) is None
    wrong = redis_url.replace("//", "//sam:se%2Fcret@")
    told = why_silent(SecretStr(wrong))
    assert told
    assert "cret" not in told
    assert place(SecretStr(wrong)) in redis_url
    assert place(SecretStr("unix:///run/redis.sock")) == "/run/redis.sock"


def test_two_relents_that_share_a_redis_do_not_hear_each_other(dialled, tmp_path):
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    try:
        assert queue_of(replace(dialled, store=other)) != queue_of(dialled)
    finally:
        other.close()
