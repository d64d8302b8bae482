"""A bot that answers each message with how many it has had from this user."""

import os
from collections import Counter

import anyio

import sessionfsm


class CountingBot:
    """
    Attributes:
        counts: How many messages each user has been answered.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def serve(self, session: sessionfsm.Session) -> None:
        """Answer until the session stops."""
        await session.deliver(lambda message: self.answer(session, message))

    async def answer(self, session: sessionfsm.Session, message: sessionfsm.Message) -> None:
        """Answer one message. It is counted last: if the answer does not go out, the message comes again."""
        if message.text == "/crash":
            raise ValueError("this is a bug")
        await session.reply(message, f"{self.counts[message.sender] + 1}: {message.text}")
        self.counts[message.sender] += 1


async def main() -> None:
    async with sessionfsm.Session(
        token=os.environ["BOT_TOKEN"], policy=sessionfsm.load_policy("policy.toml")
    ) as session:
        await CountingBot().serve(session)


if __name__ == "__main__":
    anyio.run(main)
