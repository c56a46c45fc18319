import pytest
from waiting import cheap

from localrag.errors import ReadError
from localrag.ingest.readers import times
from localrag.ingest.readers.source import Options, Source


def read(name, text):
    return times.read(Source(name, data=text.encode() if isinstance(text, str) else text), Options())


def event(*lines, kind="VEVENT", calendar=()):
    inside = [f"BEGIN:{kind}", "SUMMARY:Board meeting", *lines, f"END:{kind}"]
    return "\r\n".join(["BEGIN:VCALENDAR", *calendar, *inside, "END:VCALENDAR", ""])


def shown(*lines, kind="VEVENT"):
    (page,) = read("a.ics", event(*lines, kind=kind)).pages
    assert page.text.startswith("Board meeting")
    return page.text.partition("\n")[2]


def test_an_event_is_a_block_with_time_place_and_people():
    reading = read(
        "a.ics",
        event(
            "DTSTART;TZID=Europe/Berlin:20240302T100000",
            "DTEND;TZID=Europe/Berlin:20240302T113000",
            "LOCATION:Room 3\\, second floor",
            'ORGANIZER;CN="Doe, Jane":mailto:jane@example.org',
            "ATTENDEE;CN=Tim;PARTSTAT=DECLINED:MAILTO:tim@example.org",
            "ATTENDEE:mailto:bob@example.org",
            "DESCRIPTION:Agenda:\\n1. Rent\\; 2. Ro",
            " of",
            "BEGIN:VALARM",
            "DESCRIPTION:Reminder",
            "END:VALARM",
        ),
    )
    (page,) = reading.pages
    assert page.text == (
        "Board meeting\nWhen: 2024-03-02 10:00 to 11:30 (Europe/Berlin)\nWhere: Room 3, second floor\n"
        "Organizer: Doe, Jane <jane@example.org>\nAttendees: Tim <tim@example.org> (declined), bob@example.org\n\n"
        "Agenda:\n1. Rent; 2. Roof"
    )
    assert (page.anchors[0].start, page.anchors[0].name) == (0, "2024-03-02 10:00")
    assert (reading.title, reading.author, reading.date) == ("Board meeting", "Doe, Jane", "2024-03-02T10:00")


def test_each_event_has_its_heading_and_time():
    one, two = event("DTSTART:20240302"), event("DTSTART:20240401T090000Z").replace("Board meeting", "Review")
    data = one.replace("END:VCALENDAR\r\n", "X-WR-CALNAME:Team\r\n") + two.replace("BEGIN:VCALENDAR\r\n", "")
    reading = read("a.ics", data)
    (page,) = reading.pages
    assert [page.text[item.start :].split("\n")[0] for item in page.headings] == ["Board meeting", "Review"]
    assert [item.name for item in page.anchors] == ["2024-03-02", "2024-04-01 09:00"]
    assert [item.start for item in page.anchors] == [item.start for item in page.headings]
    assert reading.title == "Team"


@pytest.mark.parametrize(
    "lines, expected",
    [
        ("DTSTART;VALUE=DATE:20240302 DTEND;VALUE=DATE:20240303", "2024-03-02"),
        ("DTSTART;VALUE=DATE:20240302 DTEND;VALUE=DATE:20240305", "2024-03-02 to 2024-03-04"),
        ("DTSTART:20240302T100000Z DTEND:20240303T020000Z", "2024-03-02 10:00 to 2024-03-03 02:00 (UTC)"),
        ("DTSTART:20240302T100000 DURATION:PT1H30M", "2024-03-02 10:00, for 1:30 hours"),
        ("DTSTART;TZID=A:20240302T100000 DTEND:20240302T110000Z", "2024-03-02 10:00 (A) to 2024-03-02 11:00 (UTC)"),
        ("DTSTART:soon", "soon"),
    ],
)
def test_times_are_in_the_zone_they_were_written_in(lines, expected):
    assert shown(*lines.split()) == f"When: {expected}"


@pytest.mark.parametrize(
    "rule, expected",
    [
        ("FREQ=WEEKLY;BYDAY=MO,FR;UNTIL=20241231T235959Z", "weekly, on Monday, Friday, until 2024-12-31"),
        ("FREQ=MONTHLY;BYDAY=2TU;COUNT=5", "monthly, 5 times, on 2. Tuesday"),
        ("FREQ=ODD", "FREQ=ODD"),
    ],
)
def test_recurrence_is_in_words(rule, expected):
    shown_parts = shown(f"RRULE:{rule}").removeprefix("Repeats: ").split(", ")
    assert sorted(shown_parts) == sorted(expected.split(", "))


def test_exceptions_of_a_recurrence_tasks_and_notes_are_read():
    text = shown("RRULE:FREQ=DAILY", "EXDATE:20240304T100000,20240305T100000", "STATUS:CANCELLED")
    assert text == "Repeats: daily; except on 2024-03-04 10:00, 2024-03-05 10:00\nStatus: cancelled"
    assert shown("DUE:20240302", "STATUS:NEEDS-ACTION", kind="VTODO") == "Due: 2024-03-02\nStatus: needs action"
    assert shown("DESCRIPTION:Words.", kind="VJOURNAL") == "\nWords."


def spoken(name, text):
    (page,) = read(name, text).pages
    return page.text, [(page.text[item.start :].split()[0], item.name) for item in page.anchors]


def test_captions_and_subtitles_become_a_line_for_each_turn_with_its_time():
    data = "WEBVTT - Hearing\n\nNOTE not said\n\nSTYLE\n::cue {}\n\none\n00:01.000 --> 00:03.000 align:start\n<v Jane Doe>The <i>rent</i>\nis due</v>\n\n"
    data += "00:03.000 --> 00:05.000\n<v Jane Doe>on Monday &amp; Tuesday.\n\n01:00:05.500 --> 01:00:07.000\n<v.loud Tim>Agreed.\n"
    text, anchors = spoken("a.vtt", data)
    assert text == "Jane Doe: The rent is due on Monday & Tuesday.\nTim: Agreed."
    assert anchors == [("Jane", "00:00:01"), ("on", "00:00:03"), ("Tim:", "01:00:05")]
    assert read("a.vtt", "WEBVTT - Hearing\n\n00:01.000 --> 00:02.000\nx").title == "Hearing"
    data = "1\r\n00:00:01,000 --> 00:00:02,000\r\n{\\an8}<font color=red>First</font>\r\n\r\nstill first\r\n\r\n"
    data += "2\r\n00:00:02,000 --> 00:00:03,000\r\n- And you?\r\n- Me, too.\r\n\r\n3\r\n00:01:00,000 --> 00:01:03,000\r\n2024\r\n"
    text, anchors = spoken("a.srt", data)
    assert text == "First still first\n- And you?\n- Me, too.\n2024"
    assert anchors == [("First", "00:00:01"), ("-", "00:00:02"), ("2024", "00:01:00")]


def test_captions_that_roll_up_are_read_once_and_repetitions_stay():
    data = (
        "WEBVTT\n\n00:01.000 --> 00:03.000\n \nthe<00:01.500><c> rent</c>\n\n00:03.000 --> 00:03.010\nthe rent\n \n\n"
    )
    data += (
        "00:03.010 --> 00:05.000\nthe rent\nis due\n\n00:06.000 --> 00:07.000\nYes.\n\n00:07.000 --> 00:08.000\nYes."
    )
    text, _ = spoken("a.vtt", data)
    assert text == "the rent is due Yes. Yes."


@pytest.mark.parametrize("odd", ["{\\", "<v ", "<", "&", "\n", "x\n", "x "])
def test_hostile_captions_take_no_time(odd):
    for head in ("WEBVTT\n\n", ""):
        with cheap(2):
            read("a.srt", f"{head}00:01.000 --> 00:02.000\nx\n{odd * 20_000}")


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.ics", "words", "not a calendar"),
        ("a.ics", "BEGIN:VCALENDAR\nEND:VCALENDAR", "without entries"),
        ("a.vtt", "WEBVTT\n\nNOTE x", "not a transcript"),
        ("a.srt", b"%PDF-1.7", "is not text but a PDF"),
    ],
)
def test_other_files_are_refused(name, data, reason):
    with pytest.raises(ReadError) as caught:
        read(name, data)
    assert reason in caught.value.message and caught.value.hint
