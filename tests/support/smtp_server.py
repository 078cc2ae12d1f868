"""A real mail server for tests: it encrypts, asks for a login, and behaves as a recipient's name tells it to.

  greylisted@   451 the first time, then taken       refused@    550 no such user
  full@         452 the mailbox is full              overquota@  552 the mailbox is full, for good
  silent@       no reply                             slow@       taken after a second
  toolarge@     552 after the mail                   spam@       554 after the mail
  closing@      421 after the mail

Writes each mail that it takes as a numbered .eml file, and one line of JSON per event: listening, connected, login,
recipient, received. Ends when its standard input does.
"""

import argparse
import asyncio
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def is_encrypted(server):
    return server.transport.get_extra_info("ssl_object") is not None


class Handler:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.seen = set()
        self.count = 0

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        tell("connected", encrypted=is_encrypted(server))
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = await self.recipient(address)
        tell("recipient", address=address, reply=reply)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def recipient(self, address):
        name = address.split("@")[0]
        if name == "greylisted" and address not in self.seen:
            self.seen.add(address)
            return "451 4.7.1 greylisted, try again"
        if name == "silent":
            await asyncio.sleep(3600)
        return {
            "refused": "550 5.1.1 no such user here",
            "full": "452 4.2.2 the mailbox is full",
            "overquota": "552 5.2.2 the mailbox is full",
        }.get(name, "250 OK")

    async def handle_DATA(self, server, session, envelope):
        names = {address.split("@")[0] for address in envelope.rcpt_tos}
        if "slow" in names:
            await asyncio.sleep(1)
        for name, reply in {
            "toolarge": "552 5.3.4 the mail is too large",
            "spam": "554 5.7.1 this looks like spam",
            "closing": "421 4.3.2 shutting down",
        }.items():
            if name in names:
                return reply
        self.count += 1
        path = self.folder / f"{self.count:04}.eml"
        path.write_bytes(envelope.original_content)
        tell(
            "received",
            file=str(path),
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            encrypted=is_encrypted(server),
            login=session.auth_data.login.decode() if session.auth_data else None,
        )
        return f"250 2.0.0 taken as {self.count}"


async def serve(arguments):
    context = None
    if arguments.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)

    def authenticate(server, session, envelope, mechanism, data):
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        right = data.login.decode() == arguments.user and data.password.decode() == arguments.password
        tell("login", user=data.login.decode(), right=right)
        return AuthResult(success=right, handled=right, auth_data=data)

    handler = Handler(arguments.folder)

    def session():
        if arguments.mute:
            return asyncio.Protocol()
        return SMTP(
            handler,
            hostname="mail.example.test",
            enable_SMTPUTF8=True,
            tls_context=context if arguments.tls == "starttls" else None,
            require_starttls=arguments.tls == "starttls",
            authenticator=authenticate if arguments.user else None,
            auth_required=bool(arguments.user),
            auth_require_tls=arguments.tls == "starttls",
        )

    encrypt = context if arguments.tls == "tls" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=encrypt)
    tell("listening", port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


def main():
    parser = argparse.ArgumentParser(description="a mail server for tests")
    parser.add_argument("--folder", required=True, help="where mails are written")
    parser.add_argument("--tls", choices=["none", "starttls", "tls"], default="none")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--mute", action="store_true", help="take connections and say nothing")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
