from ontomesh_local.backoff import CrashLog


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_crash_within_the_window_doubles_the_wait() -> None:
    crashes = CrashLog(clock=Clock())
    assert [crashes.crashed() for _ in range(4)] == [0.5, 1.0, 2.0, 4.0]


def test_the_fifth_crash_within_a_minute_is_the_last() -> None:
    clock = Clock()
    crashes = CrashLog(clock=clock)
    for _ in range(4):
        assert crashes.crashed() is not None
        clock.now += 15
    assert crashes.crashed() is None
    assert crashes.recent == 5


def test_crashes_further_apart_never_end_it() -> None:
    clock = Clock()
    crashes = CrashLog(clock=clock)
    for _ in range(20):
        assert crashes.crashed() is not None
        clock.now += 15.1


def test_a_long_quiet_time_makes_the_wait_short_again() -> None:
    clock = Clock()
    crashes = CrashLog(clock=clock)
    for _ in range(3):
        crashes.crashed()
    clock.now += 61
    assert crashes.crashed() == 0.5
    assert crashes.recent == 1
