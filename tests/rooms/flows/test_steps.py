"""What each step of the language does to a run."""

import pytest

from beckon.core import command as core
from beckon.flows.advance import Matched, Started, TimedOut, advance, begin
from beckon.flows.matching import keys_of
from beckon.flows.run import decode_run, encode_run
from tests.rooms.flows.stage import ANN, HOUR_MS, NOW_MS, Play, event_of, flow_of

INVITE = """
- send: checkin_invite
  to: "{{ event.data.contact }}"
  via: best
  with: { slug: "{{ event.data.slug }}" }
- wait_for: checkin.finished
  match: { visit: "{{ event.data.visit }}" }
  timeout: 24h
  save: result
  on_timeout:
    - send: checkin_reminder
    - wait_for: checkin.finished
      match: { visit: "{{ event.data.visit }}" }
      timeout: 48h
      save: result
      on_timeout: [ { note: "No check-in before the visit." }, { stop: expired } ]
- post: { results: "{{ result.data }}" }
- notify: { inbox: service-advisors }
"""
VISIT = {"visit": "V-17", "slug": "abc", "contact": {"phone": "+31612345678"}}


def test_the_check_in_goes_home_when_it_is_finished_in_time() -> None:
    play = Play(flow_of(INVITE), VISIT)
    invite = play.commands[0]
    assert isinstance(invite, core.Send)
    assert (invite.template, invite.variables, invite.to) == ("checkin_invite", {"slug": "abc"}, VISIT["contact"])
    assert play.run.status == "waiting"
    play.happen("checkin.finished", {"visit": "V-17", "mileage": 41_000})
    assert play.said() == ["send checkin_invite", "post results", "notify service-advisors"]
    results = play.commands[1]
    assert isinstance(results, core.Post)
    assert results.body == {"visit": "V-17", "mileage": 41_000}
    assert play.run.status == "done"


def test_the_reminder_goes_when_nothing_came_and_a_late_result_still_counts() -> None:
    play = Play(flow_of(INVITE), VISIT)
    play.time_out()
    assert play.said()[-1] == "send checkin_reminder"
    play.happen("checkin.finished", {"visit": "V-17"})
    assert play.run.status == "done"


def test_a_run_stops_with_its_reason_when_nobody_checks_in() -> None:
    play = Play(flow_of(INVITE), VISIT)
    play.time_out()
    play.time_out()
    assert play.said()[-1] == "note No check-in before the visit."
    assert (play.run.status, play.run.ended) == ("stopped", "expired")
    assert play.run.history[-1].step == "steps.1.on_timeout.1.on_timeout.1"


def test_another_visits_result_changes_nothing() -> None:
    play = Play(flow_of(INVITE), VISIT)
    before = encode_run(play.run)
    assert not play.happen("checkin.finished", {"visit": "V-18"}).taken
    assert encode_run(play.run) == before


def test_a_stimulus_is_taken_once() -> None:
    flow = flow_of(INVITE)
    play = Play(flow, VISIT)
    event = event_of("checkin.finished", {"visit": "V-17"}, position=9)
    assert advance(flow, play.run, Matched(event), NOW_MS).taken
    done = encode_run(play.run)
    for again in (Matched(event), TimedOut(), Started()):
        assert not advance(flow, play.run, again, NOW_MS + 99 * HOUR_MS).taken
    assert encode_run(play.run) == done


def test_a_timer_that_fires_early_changes_nothing() -> None:
    play = Play(flow_of(INVITE), VISIT)
    assert not play.time_out(after_ms=HOUR_MS).taken
    assert play.run.status == "waiting"


def test_one_event_answers_one_wait() -> None:
    flow = flow_of("""
        - wait_for: part.came
          match: { visit: "{{ event.data.visit }}" }
          timeout: 1d
        - wait_for: part.came
          match: { visit: "{{ event.data.visit }}" }
          timeout: 1d
        - note: both
    """)
    play = Play(flow)
    event = event_of("part.came", {"visit": "V-17"}, position=5)
    assert advance(flow, play.run, Matched(event), NOW_MS).taken
    assert not advance(flow, play.run, Matched(event), NOW_MS).taken, "the same event again, as an early one"
    other = event_of("part.came", {"visit": "V-17"}, position=6)
    assert advance(flow, play.run, Matched(other), NOW_MS).commands[0].step == "steps.2"


def test_an_event_from_before_the_run_began_is_no_answer() -> None:
    play = Play(flow_of(INVITE), VISIT)
    assert not play.happen("checkin.finished", {"visit": "V-17"}, position=1).taken


def test_what_the_contact_said_before_we_asked_is_no_answer() -> None:
    flow = flow_of("""
        - wait: 2d
        - send: { text: "Shall we call you?" }
        - wait_for: message.received
          timeout: 1d
          save: reply
        - note: "{{ reply.data.text }}"
    """)
    play = Play(flow)
    play.time_out()
    early = event_of("message.received", {"text": "hello"}, position=4, accepted_ms=play.now_ms - HOUR_MS)
    assert not advance(flow, play.run, Matched(early), play.now_ms).taken
    answer = event_of("message.received", {"text": "yes"}, position=5, accepted_ms=play.now_ms)
    assert keys_of(flow.shapes, answer, ANN["id"]) == [play.run.waiting[0].keys[0].key]
    assert advance(flow, play.run, Matched(answer), play.now_ms).commands[0].body == "yes"  # type: ignore[union-attr]


def test_a_wait_takes_the_first_of_several_types() -> None:
    flow = flow_of("""
        - wait_for: [work.approved, work.declined]
          match: { visit: "{{ event.data.visit }}" }
          timeout: 1d
          save: answer
        - note: "{{ answer.type }}"
    """)
    play = Play(flow)
    play.happen("work.declined", {"visit": "V-17"})
    assert play.said() == ["note work.declined"]


def test_a_wait_may_set_a_condition_on_what_comes() -> None:
    flow = flow_of("""
        - wait_for: repair.status
          match: { visit: "{{ event.data.visit }}" }
          where: it.data.state == 'ready'
          timeout: 1d
        - note: ready
    """)
    play = Play(flow)
    assert not play.happen("repair.status", {"visit": "V-17", "state": "begun"}).taken
    assert not play.happen("repair.status", {"visit": "V-17"}).taken, "nothing to compare: not the one"
    play.happen("repair.status", {"visit": "V-17", "state": "ready"})
    assert play.said() == ["note ready"]


def test_a_match_in_cel_is_for_the_same_contact() -> None:
    play = Play(flow_of("- wait_for: message.received\n  match: it.data.text == 'yes'\n  timeout: 1h\n- note: yes"))
    assert play.run.waiting[0].keys[0].names == ("@contact",)
    assert not play.happen("message.received", {"text": "no"}).taken
    assert play.happen("message.received", {"text": "yes"}).taken


def test_a_time_out_without_branch_goes_on_and_keeps_null() -> None:
    flow = flow_of("""
        - wait_for: checkin.finished
          match: { visit: "{{ event.data.visit }}" }
          timeout: 1h
          save: result
        - if: result == null
          then: [ { note: nothing came } ]
    """)
    play = Play(flow)
    play.time_out()
    assert play.said() == ["note nothing came"]


def test_a_wait_compares_numbers_and_their_texts_alike() -> None:
    flow = flow_of(
        '- wait_for: checkin.finished\n  match: { visit: "{{ event.data.visit }}" }\n  timeout: 1h\n- note: ok'
    )
    play = Play(flow, {"visit": 17})
    assert play.happen("checkin.finished", {"visit": "17"}).taken
    assert Play(flow, {"visit": 17.0}).happen("checkin.finished", {"visit": 17}).taken


@pytest.mark.parametrize(
    ("steps", "data", "said"),
    [
        ("- if: event.data.n > 3\n  then: [{note: big}]\n  else: [{note: small}]", {"n": 4}, ["note big"]),
        ("- if: event.data.n > 3\n  then: [{note: big}]\n  else: [{note: small}]", {"n": 2}, ["note small"]),
        ("- if: event.data.n > 3\n  then: [{note: big}]\n- note: after", {"n": 2}, ["note after"]),
        ("- if: has(event.data.n)\n  then: []\n- note: after", {"n": 2}, ["note after"]),
        (
            "- choose:\n    - {when: event.data.n == 1, then: [{note: one}]}\n    - {when: event.data.n < 9, then: "
            "[{note: few}]}\n  else: [{note: many}]",
            {"n": 5},
            ["note few"],
        ),
        (
            "- choose: [{when: event.data.n == 1, then: [{note: one}]}]\n  else: [{note: many}]\n- note: after",
            {"n": 5},
            ["note many", "note after"],
        ),
        (
            '- for_each: "{{ event.data.l }}"\n  as: video\n  do: [{note: "{{ video.name }}"}]\n- note: after',
            {"l": [{"name": "a"}, {"name": "b"}]},
            ["note a", "note b", "note after"],
        ),
        ('- for_each: "{{ event.data.l }}"\n  do: [{note: x}]\n- note: after', {"l": []}, ["note after"]),
        (
            '- for_each: "{{ event.data.l }}"\n  do:\n    - for_each: "{{ item }}"\n      as: inner\n      do: '
            '[{note: "{{ inner }}"}]',
            {"l": [[1, 2], [], [3]]},
            ["note 1", "note 2", "note 3"],
        ),
        (
            '- for_each: "{{ event.data.l }}"\n  do: [{if: item == 2, then: [{stop: found}]}, {note: "{{ item }}"}]',
            {"l": [1, 2, 3]},
            ["note 1"],
        ),
        ('- set: { n: 1 }\n- set: { n: "{{ n | plus: 1 }}", m: "{{ n }}" }\n- note: "{{ m }}"', {}, ["note 2"]),
        (
            '- note: "{{ contact.first_name }}, {{ run.key }}, {{ now }}"',
            {},
            ["note Ann, V-17, 2026-11-20T09:00:00.000Z"],
        ),
        ("- notify: advisors\n- assign: {inbox: sales, agent: kim}\n", {}, ["notify advisors", "assign sales"]),
        ('- emit: work.done\n  data: { visit: "{{ event.data.visit }}" }', {}, ["emit work.done"]),
        ("- emit: { type: work.done }", {}, ["emit work.done"]),
        ("- post: { status: Ready }\n- post: { note: Hm }", {}, ["status Ready", "note Hm"]),
        ("- stop: enough\n- note: never", {}, []),
        ("- send: { text: 'Hello {{ event.data.who }}' }", {"who": "Bo"}, ["send Hello Bo"]),
        ("- send: { template: ready, with: { a: 1 } }", {}, ["send ready"]),
    ],
)
def test_steps_do_what_they_say(steps: str, data: dict[str, object], said: list[str]) -> None:
    play = Play(flow_of(steps), {"visit": "V-17", **data})
    assert play.said() == said
    assert play.run.error is None


def test_a_loop_survives_a_wait_inside_it() -> None:
    flow = flow_of("""
        - for_each: "{{ event.data.l }}"
          do:
            - wait: 1h
            - note: "{{ item }}"
    """)
    play = Play(flow, {"visit": "V-17", "l": ["a", "b"]})
    play.time_out()
    play.time_out()
    assert play.said() == ["note a", "note b"]
    assert play.run.status == "done"


def test_send_says_all_that_the_outbox_must_know() -> None:
    flow = flow_of("""
        - send: offer
          to: { phone: "{{ event.data.phone }}" }
          via: [whatsapp, sms]
          with: "{{ event.data }}"
          purpose: marketing
          locale: "{{ contact.locale }}"
          fallback_after: 10m
          at: { not_between: "08:00-20:00" }
    """)
    play = Play(flow, {"visit": "V-17", "phone": "+32470000000"})
    send = play.commands[0]
    assert isinstance(send, core.Send)
    assert send.to == {"phone": "+32470000000"}
    assert send.via == ("whatsapp", "sms")
    assert send.variables == {"visit": "V-17", "phone": "+32470000000"}
    assert (send.purpose, send.locale, send.fallback_after_ms) == ("marketing", "nl-BE", 600_000)
    assert send.not_before_ms == NOW_MS + 10 * HOUR_MS, "10:00 in Brussels; free again at 20:00"
    assert "not between 08:00-20:00" in play.run.history[0].why
    assert (send.contact, send.run, send.step) == ("con_ann", play.run.id, "steps.0")


def test_a_send_with_on_undeliverable_waits_for_its_outcome() -> None:
    steps = "- send: t\n  on_undeliverable: [{notify: advisors}]\n- note: after"
    reached = Play(flow_of(steps))
    send = reached.commands[0]
    assert isinstance(send, core.Send)
    assert send.awaited is True
    assert reached.run.status == "waiting"
    reached.outcome("message.sent", {})
    assert reached.said() == ["send t", "note after"]
    lost = Play(flow_of(steps))
    lost.outcome("message.undeliverable", {"passed_over": []})
    assert lost.said() == ["send t", "notify advisors", "note after"]
    silent = Play(flow_of(steps))
    silent.time_out()
    assert silent.said() == ["send t", "note after"]


def test_with_a_fallback_only_a_receipt_says_that_it_arrived() -> None:
    play = Play(flow_of("- send: t\n  fallback_after: 10m\n  on_undeliverable: [{notify: advisors}]\n- note: after"))
    assert not play.outcome("message.sent", {}).taken
    assert play.outcome("message.delivered", {}).taken


def test_a_call_keeps_its_result() -> None:
    play = Play(flow_of('- call: cases.file\n  with: { n: 1 }\n  save: case\n- note: "{{ case.number }}"'))
    call = play.commands[0]
    assert isinstance(call, core.Call)
    assert (call.act, call.arguments) == ("cases.file", {"n": 1})
    play.outcome("call.completed", {"result": {"number": "C-5"}})
    assert play.said()[-1] == "note C-5"


def test_an_outcome_of_another_command_changes_nothing() -> None:
    play = Play(flow_of("- call: cases.file\n- note: after"))
    assert not play.happen("call.completed", {"command": "cmd_other", "result": 1}).taken
    assert play.happen("call.completed", {"command": play.commands[0].id, "result": 1}).taken


def test_a_failed_call_takes_its_branch_or_ends_the_run() -> None:
    caught = Play(flow_of('- call: cases.file\n  save: c\n  on_error: [{note: "{{ c.error.why }}"}]\n- note: after'))
    caught.outcome("call.failed", {"code": "x", "why": "no such case"})
    assert caught.said()[1:] == ["note no such case", "note after"]
    bare = Play(flow_of("- call: cases.file\n- note: after"))
    bare.outcome("call.failed", {"code": "cases.closed", "why": "no such case"})
    assert bare.run.status == "failed"
    assert bare.run.error is not None
    assert (bare.run.error.code, bare.run.error.why) == ("cases.closed", "cases.file failed: no such case.")


def test_http_asks_and_keeps_the_answer() -> None:
    flow = flow_of("""
        - http: "https://dms.example/visits/{{ event.data.visit }}"
          method: PUT
          headers: { X-Visit: "{{ event.data.visit }}" }
          body: { state: invited }
          secret: dms
          timeout: 5s
          attempts: 2
          save: answer
        - note: "{{ answer.status }} {{ answer.body.id }}"
    """)
    play = Play(flow)
    asked = play.commands[0]
    assert isinstance(asked, core.Http)
    assert (asked.method, asked.url) == ("PUT", "https://dms.example/visits/V-17")
    assert (asked.headers, asked.body, asked.secret) == ({"X-Visit": "V-17"}, {"state": "invited"}, "dms")
    assert (asked.timeout_ms, asked.attempts_max) == (5_000, 2)
    play.outcome("http.completed", {"status": 200, "body": {"id": 5}})
    assert play.said()[-1] == "note 200 5"


def test_http_with_an_error_status_has_failed() -> None:
    play = Play(flow_of('- http: { url: "https://x.example" }\n  on_error: [{note: failed}]'))
    play.outcome("http.completed", {"status": 404, "body": ""})
    assert play.said()[-1] == "note failed"


def test_a_call_that_is_not_awaited_goes_on_at_once() -> None:
    play = Play(flow_of("- call: cases.file\n  await: false\n- note: after"))
    assert play.said() == ["call cases.file", "note after"]


@pytest.mark.parametrize(
    ("steps", "data", "hours"),
    [
        ("- wait: 90m", {}, 1.5),
        ('- wait: { until: "2026-11-20T12:00:00Z" }', {}, 3),
        ('- wait: { until: "{{ event.data.at }}", before: 24h }', {"at": "2026-11-22T09:00:00Z"}, 24),
        ('- wait: { until: "{{ event.data.at }}", after: 1h }', {"at": "2026-11-20T12:00:00+01:00"}, 3),
        ('- wait: { until: "12:00" }', {}, 2),  # Brussels is an hour ahead
        ('- wait: { until: "12:00", zone: UTC }', {}, 3),
        ('- wait: { until: "{{ event.data.at }}" }', {"at": "2026-11-20T12:00"}, 2),
        ('- wait: { for: 9h, hours: "Mon-Fri 09:00-18:00" }', {}, 9 + 15 + 48 + 0),
        ('- wait: { until: "2026-11-21T12:00:00Z", hours: "Mon-Fri 09:00-18:00" }', {}, 71),
    ],
)
def test_waits_end_when_they_should(steps: str, data: dict[str, object], hours: float) -> None:
    play = Play(flow_of(steps), {"visit": "V-17", **data})
    assert play.run.error is None
    assert (play.run.waiting[0].deadline_ms - NOW_MS) / HOUR_MS == hours


def test_an_instant_that_has_passed_is_not_waited_for() -> None:
    play = Play(flow_of('- wait: { until: "2020-01-01T00:00:00Z" }\n- note: at once'))
    assert play.said() == ["note at once"]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ('- send: t\n  with: { slug: "{{ event.data.slugg }}" }', "text.missing_variable"),
        ('- send: t\n  to: "{{ event.data.visit.size }}"', "flow.no_contact"),
        ("- if: event.data.nothing == 1\n  then: []", "flow.missing_value"),
        ("- if: event.data.visit\n  then: []", "flow.not_yes_or_no"),
        ('- for_each: "{{ event.data.visit }}"\n  do: []', "flow.no_list"),
        ('- for_each: "{{ event.data.many }}"\n  do: [{note: x}]', "flow.too_many_items"),
        ('- wait: { until: "{{ event.data.visit }}" }', "flow.instant"),
        ('- http: "{{ event.data.visit }}"', "flow.url"),
        ('- http: { url: "https://x.example", headers: { A: "{{ event.data.lines }}" } }', "flow.header"),
        ('- wait_for: x.y\n  match: { a: "{{ event.data.none }}" }\n  timeout: 1h', "flow.match_empty"),
        ('- note: "{{ event.data.long }}"', "text.too_long"),
        ('- send: t\n  with: "{{ event.data.visit }}"', "flow.no_object"),
        ("- send: { text: '{{ event.data.blank }}' }", "flow.empty_text"),
        ("- notify: '{{ event.data.blank }}'", "flow.empty_name"),
        (
            "- set: { a: '{{ event.data }}' }\n" + "- set: { a: { x: '{{ a }}', y: '{{ a }}' } }\n" * 60,
            "value.too_large",
        ),
    ],
)
def test_a_step_that_cannot_be_done_ends_the_run_and_says_why(steps: str, code: str) -> None:
    data = {"visit": "V-17", "none": None, "many": [1] * 101, "lines": "a\nb", "long": "x" * 17_000, "blank": " "}
    play = Play(flow_of(steps), data)
    assert play.run.status == "failed"
    assert play.run.error is not None
    assert play.run.error.code == code, play.run.error
    entry = play.commands[-1]
    assert isinstance(entry, core.Post)
    assert (entry.kind, entry.body["code"], entry.body["step"]) == ("error", code, play.run.error.step)
    assert decode_run(encode_run(play.run)) == play.run


def test_a_run_that_takes_too_many_steps_ends() -> None:
    flow = flow_of('- for_each: "{{ event.data.l }}"\n  do: [{note: a}, {note: b}]', head="limits: { steps: 20 }")
    play = Play(flow, {"visit": "V-17", "l": list(range(50))})
    assert play.run.error is not None
    assert play.run.error.code == "flow.too_many_steps"
    assert len(play.commands) <= 21


def test_events_do_not_chase_each_other_for_ever() -> None:
    flow = flow_of("- emit: checkin.start")
    run = begin(flow, event_of(depth=17), None, NOW_MS)
    assert run is not None
    advance(flow, run, Started(), NOW_MS)
    assert run.error is not None
    assert run.error.code == "flow.too_many_events"


def test_a_flow_begins_only_where_its_condition_holds() -> None:
    flow = flow_of("- note: x", head="if: event.data.n > 1")
    assert begin(flow, event_of(data={"visit": "V", "n": 1}), None, NOW_MS) is None
    assert begin(flow, event_of(data={"visit": "V", "n": 2}), None, NOW_MS) is not None


@pytest.mark.parametrize(
    "data", [{"n": 2}, {"visit": "", "n": 2}, {"visit": "V"}, {"visit": "V" * 401, "n": 2}, None, 5]
)
def test_a_run_whose_beginning_fails_is_seen(data: object) -> None:
    flow = flow_of("- note: x", head="if: event.data.n > 1")
    event = event_of(data=data) if data is not None else event_of(data=[])
    run = begin(flow, event, None, NOW_MS)
    assert run is not None
    done = advance(flow, run, Started(), NOW_MS)
    assert run.status == "failed"
    assert done.error is not None
    assert [command.kind for command in done.commands] == ["error"]  # type: ignore[union-attr]


def test_the_same_key_is_the_same_run_and_asks_with_the_same_ids() -> None:
    first, second = Play(flow_of(INVITE), VISIT), Play(flow_of(INVITE), VISIT)
    assert first.run.id == second.run.id
    assert [command.id for command in first.commands] == [command.id for command in second.commands]
    other = Play(flow_of(INVITE), {**VISIT, "visit": "V-18"})
    assert other.run.id != first.run.id
    assert not {command.id for command in other.commands} & {command.id for command in first.commands}


def test_without_a_key_each_event_is_a_run_of_its_own() -> None:
    flow = flow_of("- note: x", key="")
    one, two = begin(flow, event_of(position=1), None, NOW_MS), begin(flow, event_of(position=2), None, NOW_MS)
    assert one is not None
    assert two is not None
    assert one.id != two.id


def test_a_run_is_held_to_the_version_that_it_began_with() -> None:
    play = Play(flow_of("- wait: 1h\n- note: old"))
    newer = flow_of("- wait: 1h\n- note: new")
    done = advance(newer, play.run, TimedOut(), NOW_MS + HOUR_MS)
    assert done.error is not None
    assert done.error.code == "flow.version"


def test_history_tells_the_branch_and_the_reason() -> None:
    play = Play(flow_of("- if: event.data.visit == 'V-17'\n  then: [{note: x}]"))
    taken = play.run.history[0]
    assert (taken.step, taken.branch, taken.why) == ("steps.0", "then", "event.data.visit == 'V-17' holds")


def test_history_is_bounded() -> None:
    flow = flow_of('- for_each: "{{ event.data.l }}"\n  do: [{note: a}, {note: b}, {note: c}]')
    play = Play(flow, {"visit": "V", "l": list(range(100))})
    assert play.run.error is None
    assert len(play.run.history) == 200
    assert play.run.history[0].what == "100 items"


def test_a_sleeping_run_is_small() -> None:
    play = Play(flow_of(INVITE), VISIT)
    assert len(encode_run(play.run)) < 1_000


UNTIL_OPEN = """
- wait_for: [offer.redeemed, offer.revoked]
  match: { offer: "{{ event.data.offer }}" }
  until_open: "08:00-21:00"
  save: gone
  on_timeout: [ { send: offer_expiring } ]
"""
OFFER = {"visit": "V-17", "offer": "O-1"}
NIGHT_MS = NOW_MS + 13 * HOUR_MS  # 23:00 in Brussels


def test_by_day_nothing_is_waited_for_until_it_is_open() -> None:
    play = Play(flow_of(UNTIL_OPEN), OFFER)
    assert play.said() == ["send offer_expiring"]
    assert (play.run.status, play.run.variables["gone"]) == ("done", None)
    assert play.run.history[0].why == "the hours are open: 08:00-21:00"


def test_by_night_what_is_over_before_the_morning_is_not_spoken_of() -> None:
    play = Play(flow_of(UNTIL_OPEN), OFFER, now_ms=NIGHT_MS)
    assert play.said() == []
    assert play.run.waiting[0].deadline_ms == NIGHT_MS + 9 * HOUR_MS  # 08:00 where the contact lives
    assert not play.happen("offer.redeemed", {"offer": "O-2"}).taken
    play.happen("offer.redeemed", {"offer": "O-1"})
    assert play.said() == []
    assert play.run.status == "done"


def test_in_the_morning_it_goes_on_where_nothing_came() -> None:
    play = Play(flow_of(UNTIL_OPEN), OFFER, now_ms=NIGHT_MS)
    play.time_out()
    assert play.said() == ["send offer_expiring"]


def test_a_wait_until_it_is_open_still_takes_what_came_before_it() -> None:
    flow = flow_of("- wait: 2h\n" + UNTIL_OPEN.strip("\n"))
    play = Play(flow, OFFER)
    play.time_out()
    assert play.said() == [], "something may have come during the two hours: it is looked for before anything is sent"
    assert play.run.waiting[0].deadline_ms == play.now_ms
    play.happen("offer.redeemed", {"offer": "O-1"})
    assert play.said() == []
    assert play.run.status == "done"
