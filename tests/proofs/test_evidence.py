import json
import sys
from dataclasses import replace

import pytest
from command_line import run, run_json

from localrag.errors import UsageError
from localrag.proofs import evidence, verify
from localrag.proofs.evidence import Evidence, Step

pytestmark = pytest.mark.slow
GOOD = (
    *(Step(name, 0, 9, (), 0) for name in ("ingest", "ask", "mcp", "serve")),
    Step("control", 0, 9, ("connect()",), 1),
)
FOUND = Evidence("1", "2026-01-01", "Linux", "0", {}, {}, GOOD)


@pytest.mark.model
@pytest.mark.proves("nothing-leaves")
def test_a_journey_is_recorded_and_a_connection_is_seen_by_both(settings, tmp_path, monkeypatch):
    if reason := evidence._missing():
        pytest.skip(reason)
    for name, value in (("LOCALRAG_GENERATOR", "smollm2-135m-instruct"), ("LOCALRAG_ANSWER_TOKENS", "20")):
        monkeypatch.setenv(name, value)
    folder = tmp_path / "kept"
    document = run_json("prove", "offline", "--evidence", folder)
    steps = {one["name"]: one for one in document["steps"]}
    assert document["proven"] and list(steps) == ["ingest", "ask", "mcp", "serve", "control"]
    assert "192.0.2.1" in str(steps["control"]["outward"])
    packets = (folder / "control.pcap").read_bytes()
    assert bytes([192, 0, 2, 1]) in packets
    assert all((folder / f"{name}.pcap").stat().st_size == 24 for name in steps if name != "control")
    said = {name: (folder / f"{name}.out").read_text() for name in steps}
    assert all("2031" in said[name] or "documents do not say" in said[name] for name in ("ask", "mcp", "serve")), said
    assert {"all-minilm-l6-v2", "smollm2-135m-instruct"} <= document["models"].keys() and "numpy" in document[
        "packages"
    ]
    assert "**proven**" in (folder / "evidence.md").read_text()
    assert run_json("prove", "offline", "--verify", folder / "evidence.json")["good"]
    (folder / "ask.strace").write_text("nothing\n")
    assert run("prove", "offline", "--verify", folder / "evidence.json").exit_code == 1


@pytest.mark.parametrize(
    "changed",
    [
        replace(GOOD[0], outward=("connect()",)),
        replace(GOOD[0], packets=1),
        replace(GOOD[0], code=1),
        replace(GOOD[0], calls=0),
        None,
    ],
)
def test_a_step_that_fails_reaches_out_or_was_not_seen_proves_nothing(changed):
    assert FOUND.proven
    assert not replace(FOUND, steps=((changed,) if changed else ()) + GOOD[1:]).proven


UNIX = '{sa_family=AF_UNIX, sun_path="/run/x"}, 110'
OUTWARD = {
    "io_uring_setup(8, {flags=0}) = 3": "io_uring_setup",
    "io_uring_setup(8, {flags=0}) = -1 EPERM (Operation not permitted)": "",
    "listen(3, 5) = 0": "listen",
    "listen(-1, 5) = -1 EBADF (Bad file descriptor)": "",
    f'sendto(3, "words", 5, 0, {UNIX}) = 5': "sendto",
    f'sendto(3, "words", 5, 0, {UNIX}) = -1 ENOENT (No such file or directory)': "",
    'sendto(3, "words", 5, MSG_NOSIGNAL, NULL, 0) = 5': "",
    'sendmsg(3, {msg_name={sa_family=AF_UNIX, sun_path="/run/x"}, msg_namelen=110}, 0) = 5': "sendmsg",
    f"connect(3, {UNIX}) = 0": "connect",
    f"connect(3, {UNIX}) = -1 EINPROGRESS (Operation now in progress)": "connect",
    f"connect(3, {UNIX}) = -1 ENOENT (No such file or directory)": "",
    f"connect(3, {UNIX} <unfinished ...>": "connect",
    'connect(3, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.1")}, 16) = -1 EACCES (No)': "connect",
    "socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0": "",
}


@pytest.mark.parametrize("line", OUTWARD)
@pytest.mark.proves("nothing-leaves")
def test_every_call_that_leads_outside_is_seen(line):
    found = evidence.outward(f"17    {line}\n17    recvfrom(3, 0x7f, 8, 0, NULL, NULL) = 0\n")
    assert [one.partition("(")[0] for one in found] == ([OUTWARD[line]] if OUTWARD[line] else [])


@pytest.mark.skipif(sys.platform == "win32", reason="rights are not checked there")
def test_a_folder_in_which_others_may_write_is_refused_and_what_they_write_meanwhile_is_no_evidence(
    settings, tmp_path, monkeypatch
):
    folder = tmp_path / "kept"

    def recorded(*given):
        (given[-1] / "record").mkdir(exist_ok=True)
        (given[-1] / "record" / "ask.strace").write_text("socket(AF_INET, SOCK_STREAM, 0) = 3\n")
        (folder / "ask.strace").symlink_to(tmp_path / "forged")
        (folder / "serve.strace").write_text("")
        return "", list(GOOD)

    (tmp_path / "forged").write_text("")
    monkeypatch.setattr(evidence, "_missing", lambda: "")
    monkeypatch.setattr(evidence, "_recorded", recorded)
    document = evidence.record(settings, folder)
    assert sorted(document["files"]) == ["ask.strace", "evidence.md"]
    assert "AF_INET" in (folder / "ask.strace").read_text() and (tmp_path / "forged").read_text() == ""
    assert verify(folder / "evidence.json", settings.proofs_dir).good
    (tmp_path / "open").mkdir(0o700)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UsageError, match="others can write"):
        evidence.record(settings, tmp_path / "open")


@pytest.mark.parametrize("blind", [{"outward": ()}, {"packets": 0}])
def test_a_record_that_does_not_see_the_control_proves_nothing(blind):
    bad = replace(FOUND, steps=(*GOOD[:4], replace(GOOD[4], **blind)))
    assert not bad.proven and "It shows" not in evidence.page(bad) and "It shows" in evidence.page(FOUND)


def test_where_nothing_can_be_recorded_the_evidence_says_so(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "_UNSHARE", ("false",))
    if sys.platform == "linux":
        monkeypatch.setattr(evidence.shutil, "which", lambda name: f"/bin/{name}")
    shown = run("prove", "offline", "--evidence", tmp_path / "kept")
    assert shown.exit_code == 1 and "NOT PROVEN" in shown.stdout
    document = json.loads((tmp_path / "kept" / "evidence.json").read_text())
    assert document["reason"] and not document["proven"] and document["steps"] == []
    assert document["reason"] in (tmp_path / "kept" / "evidence.md").read_text()
    assert verify(tmp_path / "kept" / "evidence.json", settings.proofs_dir).good
    with pytest.raises(UsageError):
        evidence.record(settings, tmp_path / "kept")
