"""The bot lives through whatever hypothesis thinks of."""

from counting_bot import CountingBot
from hypothesis import settings
from hypothesis.stateful import rule

from sessionfsm.testing import BotStateMachine


class CountingBotLives(BotStateMachine):
    def __init__(self):
        self.bot = CountingBot()
        super().__init__()

    async def serve(self, session):
        await self.bot.serve(session)

    @rule()
    def user_finds_the_bug(self):
        """A rule of our own."""
        self.pushed.append(self.do(lambda: self.bench.push("/crash")))

    def settled(self):
        """Every message was counted once, or is parked; an answer whose receipt got lost may have gone out twice."""
        counted = sum(self.bot.counts.values())
        assert counted + len(self.bench.parked()) == len(self.pushed)
        assert len(self.bench.replies) >= counted


CountingBotLives.TestCase.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
TestAnyLife = CountingBotLives.TestCase
