"""
What SPIN is asked: an account of the run beside the machine's own memory, and claims about both.

As in :mod:`sessionfsm.verify.history`, the account sees only what happened and what was ordered. The properties are
those of ``sessionfsm verify`` as far as they do not speak of time, and three that are stronger for it: with time left
out, "within so many seconds" becomes "at some time", under fairness.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ACCOUNT", "CLAIMS", "Claim"]


class Claim(NamedTuple):
    """
    Something that SPIN is asked.

    Attributes:
        name: Its own; it begins with the id of the property that it belongs to.
        says: What it says.
        formula: The same in linear temporal logic.
        fair: Whether it is to hold in fair runs only: an operation that goes on is over at some time.
    """

    name: str
    says: str
    formula: str
    fair: bool = False

    @property
    def id(self) -> str:
        """The property that it belongs to, such as ``P7``."""
        return self.name.partition("_")[0]


def _always(number: str, says: str) -> Claim:
    return Claim(number, says, f"[] !broken_{number}")


CLAIMS = (
    _always("P1", "between a loss and the next poll, notifystart was called and has ended, or succeeded if required"),
    _always("P3", "exactly one operation is outstanding in every live state, the one that the state names"),
    _always("P4", "exactly one row applies to whatever can happen"),
    _always("P5", "stop orders the close and nothing else does; after closed there is no command"),
    _always("P10", "waits, denials, hurries and trusted are reset by what may reset them, and by nothing else"),
    _always("P12", "only stop ends a session; start begins with a renewal"),
    _always("P13", "the ladder follows the cause: session for a denied session, transport for everything else"),
    _always("P14", "expired holds exactly from a loss until a renewal or a good poll succeeds"),
    _always("P16", "the first loss of a trusted session, and every lapse, renews at once; other losses wait"),
    _always("P17", "no needless renewal: only after start, a wait, a lapse, or the first loss of a trusted session"),
    _always("P18", "exactly three hollow answers in a row are a loss"),
    Claim(
        "P0_stops",
        "a stop leads to the initial state, with nothing outstanding",
        "[] (stops -> <> (state == INITIAL && operation == o_nothing))",
        fair=True,
    ),
    Claim(
        "P6_requests",
        "a session that lives starts a request again and again, while the store works",
        "[] (LIVE -> <> (requests || store_fails || !LIVE))",
        fair=True,
    ),
    Claim(
        "P6_polls",
        "and polls again and again, unless notifystart is denied, or fails where it is required",
        "[] (LIVE -> <> (polls || excused || !LIVE))",
        fair=True,
    ),
    Claim(
        "P7_resumes",
        "if from some point on every request is answered well, there is a good poll again and again",
        "(<> [] (LIVE && well)) -> ([] <> good)",
        fair=True,
    ),
    Claim(
        "P7_heals",
        "if from some point on the server is honest, denying polls of a lost session until notifystart and nothing "
        "else, there is a good poll again and again",
        "(<> [] (LIVE && honest)) -> ([] <> good)",
        fair=True,
    ),
)
"""Everything that is asked, in the order in which it is."""

ACCOUNT = """\
/* The account: what happened and what was ordered, and nothing that the machine remembers. */
bool lost, unrenewed, proved;  /* as in sessionfsm.verify.history */
byte hollow;
bool stops, requests, polls, good, well, honest, store_fails, excused;  /* what the last step was */
bool broken_P1, broken_P3, broken_P4, broken_P5, broken_P10, broken_P12;  /* what it broke */
bool broken_P13, broken_P14, broken_P16, broken_P17, broken_P18;
hidden byte was_lost, was_proved, loss, renewing, polling, waited, own, is_good, anew;
hidden byte was_hollow;

inline account_of_a_row() {
  renewing = (ended == o_renewal); polling = (ended == o_poll); waited = IS_WAIT(ended);
  own = IS_OWN(happened);
  is_good = (happened == t_polled || happened == t_hurried);
  anew = (happened == t_start || happened == t_stop || happened == t_closed || happened == t_credentials_changed);
  loss = (happened == t_session_expired || happened == t_session_lapsed || (happened == t_hollow && hollow == 2));
  was_lost = lost; was_proved = proved; was_hollow = hollow;

  if
  :: anew -> lost = false; unrenewed = false; proved = false; hollow = 0
  :: else ->
     if
     :: is_good || (renewing && happened == t_session_renewed) -> lost = false; unrenewed = false
     :: else ->
        if
        :: loss -> lost = true; unrenewed = true
        :: else ->
           if
           :: renewing && happened == t_renewal_failed && !REQUIRED -> unrenewed = false
           :: else
           fi
        fi
     fi;
     if :: happened == t_polled -> proved = true :: else fi;
     if
     :: happened == t_hollow -> hollow = (hollow + 1) % 3
     :: else ->
        if
        :: !renewing && (is_good || happened == t_session_expired || happened == t_session_lapsed ||
                         happened == t_poll_failed || happened == t_store_failed) -> hollow = 0
        :: else
        fi
     fi;
     if :: ordered == o_renewal -> proved = false; hollow = 0 :: else fi
  fi;

  stops = (happened == t_stop);
  requests = (ordered == o_renewal || ordered == o_poll);
  polls = (ordered == o_poll);
  good = is_good;
  well = (renewing && happened == t_session_renewed) || (polling && is_good) || (waited && !own) ||
         (IS_PERFORMED(ended) && !IS_EXTERNAL(happened));
  honest = (well && !(polling && was_lost)) || (polling && was_lost && happened == t_session_expired);
  store_fails = (happened == t_store_failed);
  excused = store_fails || (renewing && (happened == t_session_expired || (REQUIRED && happened == t_renewal_failed)));

  broken_P1 = (polls && unrenewed);
  broken_P3 = !NAMED || (ordered == 0 && happened != t_closed && happened != t_credentials_changed);
  broken_P4 = (applied > 1);
  broken_P5 = (stops && (ordered != o_close || figure == was_lost)) || (!stops && ordered == o_close) ||
              (happened == t_closed && ordered != 0);
  broken_P10 = (waits < was_waits && !(RESETS || is_good || happened == t_silent)) ||
               (denials < was_denials && !(RESETS || is_good)) ||
               (hurries < was_hurries && !(RESETS || happened == t_polled)) ||
               (trusted && !was_trusted && happened != t_polled);
  broken_P12 = (IS_LIVE(ended) && !LIVE && !stops) || (happened == t_start && ordered != o_renewal);
  broken_P13 = IS_WAIT(ordered) && !(IS_PAUSE(ordered) && own) &&
               ordered != (((renewing && happened == t_session_expired) || (loss && !was_lost)) ->
                           o_wait_session : o_wait_transport);
  broken_P14 = (expired != lost);
  broken_P16 = polling && loss && ((was_proved || happened == t_session_lapsed) ->
                                   ordered != o_renewal : !IS_WAIT(ordered));
  broken_P17 = ordered == o_renewal && !own && happened != t_start && happened != t_session_lapsed &&
               !(waited && (happened == t_retry_due || happened == t_wake)) && !(loss && was_proved);
  broken_P18 = happened == t_hollow && loss == polls
}

inline account() {
  if
  :: applied == 0 ->  /* the machine refuses it, and there it ends */
     broken_P4 = true;
     stops = false; requests = false; polls = false; good = false; well = false; honest = false
  :: else -> account_of_a_row()
  fi
}
"""
"""The account and the judgement of a step, over the names of the core table; it is the same for every machine."""
