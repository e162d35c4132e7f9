"""Who holds a claim, and are they still alive?"""

import subprocess
import sys

from engine import owner


def test_i_am_alive():
    assert owner.dead([owner.me()]) == []


def test_a_process_that_is_gone_is_dead():
    command = "from engine import owner; print(owner.me())"
    gone = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    name = gone.stdout.strip()
    assert owner.dead([name, owner.me()]) == [name]


def test_a_process_that_has_ended_and_was_not_buried_is_dead_too():
    command = "from engine import owner; print(owner.me(), flush=True)"
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        name = process.stdout.readline().strip()
        process.stdout.read()
        for _ in range(200):
            if owner.dead([name]):
                break
            import time

            time.sleep(0.01)
        assert owner.dead([name]) == [name]


def test_a_process_of_another_machine_may_be_alive_for_all_we_know():
    number, born = owner.me().rsplit("/", 2)[1:]
    assert owner.dead([f"another-boot/pid:[1]/{number}/{born}", "another-boot/pid:[1]/999999/1.00"]) == []


def test_the_same_number_again_is_another_process():
    machine_and_number = owner.me().rpartition("/")[0]
    assert owner.dead([f"{machine_and_number}/1.00"]) == [f"{machine_and_number}/1.00"]


def test_setting_the_clock_right_kills_nobody(monkeypatch):
    me = owner.me()
    monkeypatch.setattr("psutil.Process.create_time", lambda self: 1.0)
    assert owner.dead([me]) == []
