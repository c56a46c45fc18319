"""An answer that comes fast is drawn at a pace that leaves time for keys, and nothing of it is lost."""

from __future__ import annotations

from localrag.events import Delta, Planned
from localrag.tui.widgets.answer import AnswerText
from tui.fakes import PLAN, FakeAssistant, FakeWorld, Gate
from tui.screen_text import see, until


async def test_pieces_that_come_at_once_are_drawn_together_and_all_of_them(monkeypatch):
    writes: list[str] = []
    get_stream = AnswerText.get_stream

    def counting(widget):
        stream = get_stream(widget)
        write = stream.write

        async def counted(text):
            writes.append(text)
            await write(text)

        stream.write = counted
        return stream

    monkeypatch.setattr("localrag.tui.widgets.answer.Markdown.get_stream", counting)
    words = [f"word{number} " for number in range(100)]
    gate = Gate()
    app = FakeWorld(FakeAssistant((Planned(PLAN), *map(Delta, words), gate))).app()
    async with app.run_test() as pilot:
        await see(pilot, "Ask about")
        await pilot.press(*"x", "enter")
        await until(pilot, lambda: "".join(writes) == "".join(words))
        assert len(writes) < len(words) / 2
        await see(pilot, "word99")
        gate.opened.set()


async def test_what_waits_to_be_drawn_is_drawn_when_the_answer_breaks_off(monkeypatch):
    monkeypatch.setattr("localrag.tui.widgets.answer._PACE", 60.0)
    assistant = FakeAssistant((Planned(PLAN), Delta("first "), Delta("second"), RuntimeError("broken")))
    app = FakeWorld(assistant).app()
    async with app.run_test() as pilot:
        await see(pilot, "Ask about")
        await pilot.press(*"x", "enter")
        await see(pilot, "first second")
        await see(pilot, "internal error")
