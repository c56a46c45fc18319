"""A model server that answers as a test wants, at a socket, in threads of the test's own process."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from localrag import policy

Reply = bytes | Callable[[dict[str, Any]], bytes] | None


def ok(body):
    return plain(json.dumps(body).encode())


def plain(data, status="200 OK", more=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{more}\r\n".encode() + data


def failed(status, message):
    return plain(json.dumps({"error": {"message": message}}).encode(), status)


def events(*bodies, done=True):
    lines = [f"data: {json.dumps(body)}\n\n" for body in bodies] + ["data: [DONE]\n\n"] * done
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + "".join(lines).encode()


def said(text, ended=None):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": ended}]}


@dataclass
class FakeServer:
    """Answers each path with the bytes given for it, or what a function makes of the body; None: it stays silent.

    `asked` keeps the paths and bodies in order; `left` is set once a client leaves without an answer.
    """

    listener: socket.socket
    url: str
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self.replies.setdefault("/v1/models", ok({"data": [{"id": "small", "max_model_len": 4096}]}))
        threading.Thread(target=self._listen, daemon=True).start()

    def bodies(self, path):
        return [body for asked, body in self.asked if asked == path]

    def _listen(self):
        with suppress(OSError):  # closed
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with suppress(OSError), client, client.makefile("rb") as lines:
            if not (request := lines.readline()):  # it was stopped before it asked
                return
            path = request.split()[1].decode()
            length = 0
            while (header := lines.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            body = json.loads(lines.read(length)) if length else {}
            self.asked.append((path, body))
            reply = self.replies.get(path, plain(b"{}", "404 Not Found"))
            made = reply(body) if callable(reply) else reply
            if made is not None:
                client.sendall(made)
            else:
                while lines.read(1):
                    pass
                self.left.set()


def at_unix(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return FakeServer(listener, f"unix://{path}")


def at_tcp(context=None):
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}/v1"
    return FakeServer(context.wrap_socket(listener, server_side=True) if context else listener, url)


def allow(server, certificate=None):
    shown = f"certificate = '{certificate}'" if certificate else ""
    policy.SYSTEM.parent.mkdir(exist_ok=True)
    policy.SYSTEM.write_text(
        f"[[allow_addresses]]\nhost = '127.0.0.1'\nport = {server.listener.getsockname()[1]}\n{shown}\n"
    )


def certificate(folder, name="server", names=("127.0.0.1",), by=None):
    """The PEM files of a certificate of these hosts, signed by another one or itself, and of its key."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{name} of the test")])
    issuer, signing, now = subject, key, datetime.now(UTC)
    if by is not None:
        issuer = x509.load_pem_x509_certificate((folder / f"{by}.pem").read_bytes()).subject
        signing = serialization.load_pem_private_key((folder / f"{by}.key").read_bytes(), None)
    begin, end, number = now - timedelta(days=1), now + timedelta(days=2), x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), number, begin, end)
    authority = name in ("authority", "elsewhere")
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if names:
        hosts = [x509.IPAddress(ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[0].write_bytes(builder.sign(signing, hashes.SHA256()).public_bytes(pem))
    paths[1].write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return paths
