"""When Redis is asked, and when it is left alone."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.watching.breaker import Breaker

FAILURES, PAUSE_S, LONGEST_S = 3, 0.25, 2.0


class Clock:
    """Time that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def opened(clock, **more):
    breaker = Breaker(FAILURES, PAUSE_S, LONGEST_S, clock, **more)
    for _ in range(FAILURES):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_failures_that_are_not_in_a_row_open_nothing(clock):
    breaker = Breaker(FAILURES, PAUSE_S, LONGEST_S, clock)
    for _ in range(10):
        for _ in range(FAILURES - 1):
            breaker.failed()
        breaker.succeeded()
    assert breaker.state == "closed" and breaker.allows()


@pytest.mark.promise("breaker")
def test_one_probe_is_let_through_after_the_pause_and_its_success_closes(clock):
    breaker = opened(clock)
    assert breaker.state == "open" and not breaker.allows()
    clock.now += PAUSE_S
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert breaker.state == "half_open"
    breaker.succeeded()
    assert breaker.state == "closed"
    assert all(breaker.allows() for _ in range(3))


def test_the_pause_doubles_with_each_failed_probe_up_to_the_longest(clock):
    breaker = opened(clock)
    pauses = []
    for _ in range(5):
        start = clock.now
        while not breaker.allows():
            clock.now += 0.125
        pauses.append(clock.now - start)
        breaker.failed()
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0]
    clock.now += LONGEST_S
    assert breaker.allows()
    breaker.succeeded()
    for _ in range(FAILURES):
        breaker.failed()
    clock.now += PAUSE_S
    assert breaker.allows(), "the first pause of the next outage is short again"


@pytest.mark.promise("breaker")
def test_a_probe_that_is_never_heard_of_again_holds_nobody_up(clock):
    breaker = opened(clock)
    clock.now += PAUSE_S
    assert breaker.allows()
    assert not breaker.allows()
    clock.now += PAUSE_S
    assert breaker.allows()


def test_each_new_state_is_told_once(clock):
    told = []
    breaker = opened(clock, changed=told.append)
    breaker.failed()  # a call that was under way when it opened
    clock.now += PAUSE_S
    breaker.allows()
    breaker.failed()
    clock.now += 2 * PAUSE_S
    breaker.allows()
    breaker.succeeded()
    breaker.succeeded()
    assert told == ["open", "half_open", "open", "half_open", "closed"]


class Outages(RuleBasedStateMachine):
    """Calls, answers and time in any order, and what must hold throughout."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(FAILURES, PAUSE_S, LONGEST_S, self.clock)
        self.under_way = 0
        self.failed_in_a_row = 0
        self.let_through = []  # when, since it last opened

    @rule(seconds=st.floats(0.0, 3.0))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule()
    def somebody_asks(self):
        closed = self.breaker.state == "closed"
        if self.breaker.allows():
            self.under_way += 1
            if not closed:
                self.let_through.append(self.clock.now)
        else:
            assert not closed

    @precondition(lambda self: self.under_way)
    @rule()
    def redis_answers(self):
        self.under_way -= 1
        self.breaker.succeeded()
        assert self.breaker.state == "closed"
        assert self.breaker.allows()
        self.failed_in_a_row, self.let_through = 0, []

    @precondition(lambda self: self.under_way)
    @rule()
    def redis_does_not_answer(self):
        self.under_way -= 1
        self.breaker.failed()
        self.failed_in_a_row += 1
        assert self.breaker.state == ("open" if self.opens else "closed")

    @property
    def opens(self):
        return self.failed_in_a_row >= FAILURES

    @invariant()
    def it_is_closed_until_enough_failed_in_a_row(self):
        assert (self.breaker.state == "closed") == (not self.opens)

    @invariant()
    def probes_keep_their_distance(self):
        pairs = zip(self.let_through, self.let_through[1:], strict=False)
        assert all(later - earlier >= PAUSE_S - 1e-9 for earlier, later in pairs)

    @invariant()
    def nobody_is_kept_out_for_longer_than_the_longest_pause(self):
        ahead = Clock()
        ahead.now = self.clock.now + LONGEST_S
        self.breaker._clock, state = ahead, vars(self.breaker).copy()
        assert self.breaker.allows()
        vars(self.breaker).update(state | {"_clock": self.clock})


Outages.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOutages = Outages.TestCase
