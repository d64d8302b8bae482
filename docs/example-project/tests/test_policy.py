"""The policy that the bot runs on."""

from sessionfsm import load_policy
from sessionfsm.testing import assert_session_safe


def test_the_policy_is_safe():
    """P0 to P19 hold in every situation that a session can get into."""
    assert_session_safe(load_policy("policy.toml"))
