/* Written by `sessionfsm verify --export promela`, for SPIN 6.5 or newer. */
/* One claim: spin -a FILE; cc -O1 -DNOREDUCE -o pan pan.c; ./pan -a -f -m1000000 -N P7_heals */
/* The graph alone: spin -o2 -DBARE -a FILE; cc -DSAFETY -DNOREDUCE -o pan pan.c; ./pan -m1000000 */
/* Time is left out: whatever can happen while an operation is outstanding can happen at once, or later, or never; */
/* and with weak fairness (-f) an operation that goes on is over at some time. */
/* table: small "table" / * of no use * / */
/* state off: off. */
/* state ask: ask. */
/* state active: active. */
/* state at rest: at rest. */
/* state at-rest: at-rest. */
/* state end: end. */

mtype = { s_off, s_ask, s_active, s_at_rest, s_at_rest_4, s_end, t_start, t_stop, t_wake, t_closed, t_retry_due, t_session_renewed, t_renewal_failed, t_credentials_changed, t_session_expired, t_session_lapsed, t_polled, t_hurried, t_hollow, t_silent, t_poll_failed, t_store_failed, t_night_falls, t_clear, t_cloudy, o_renewal, o_poll, o_wait_session, o_wait_transport, o_close, o_nothing, o_perform_look, o_pause_rest_a_little };

mtype state = s_off;
mtype operation = o_nothing;  /* what is outstanding */
byte figure;  /* which pace, which wait on its ladder, whether the close says notifystop */
bool fresh;  /* whether the poll is on a new connection */
bool expired = false;
bool trusted = false;
byte waits = 0;
byte denials = 0;
byte doubts = 0;
byte hurries = 0;
bool up_login_required;
bool up_renewal_blocked;
hidden mtype happened, ended, ordered;
hidden int row, applied;
hidden byte was_expired, was_trusted;
hidden byte was_waits;
hidden byte was_denials;
hidden byte was_hurries;
#ifndef BARE
bool begun;  /* whether the operation goes on long enough to be over at some time, if nothing replaces it */
#endif

#define INITIAL s_off
#define REQUIRED false
#define MOST_waits 2
#define MOST_denials 2
#define MOST_doubts 2
#define MOST_hurries 2
#define IS_PAUSE(it) (it == o_pause_rest_a_little)
#define IS_PERFORMED(it) (it == o_perform_look)
#define IS_WAIT(it) (it == o_wait_session || it == o_wait_transport || IS_PAUSE(it))
#define IS_LIVE(it) (it != o_nothing && it != o_close)
#define LIVE IS_LIVE(operation)
#define IS_OWN(it) (it == t_night_falls || it == t_clear || it == t_cloudy)
#define IS_EXTERNAL(it) (it == t_night_falls)
#define RESETS (happened == t_stop || happened == t_credentials_changed)
#define NAMED ((state != s_off || operation == o_nothing) && (state != s_ask || operation == o_renewal) && (state != s_active || operation == o_poll) && (state != s_at_rest || IS_WAIT(operation)) && (state != s_at_rest_4 || IS_PERFORMED(operation)) && (state != s_end || operation == o_close))

inline order(what) {
  operation = what; ordered = (what == o_nothing -> 0 : what)
#ifndef BARE
  ; begun = false
#endif
}

/* row 0: start in off: it is so */
#define ROW_0 ((state == s_off))
inline row_0() {
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 1: credentials_changed in ask: it is so */
#define ROW_1 ((state == s_ask))
inline row_1() {
  expired = false;
  waits = 0;
  state = s_ask;
}

/* row 2: session_renewed in ask: it is so */
#define ROW_2 ((state == s_ask))
inline row_2() {
  expired = false;
  state = s_active;
  order(o_poll);
  figure = 0;
  fresh = false;
}

/* row 3: renewal_failed in ask: it is so */
#define ROW_3 ((state == s_ask))
inline row_3() {
  state = s_at_rest_4;
  order(o_perform_look);
  figure = 0;
  fresh = false;
}

/* row 4: session_expired in ask: it is so */
#define ROW_4 ((state == s_ask))
inline row_4() {
  denials = (denials < MOST_denials -> denials + 1 : MOST_denials);
  expired = true;
  state = s_at_rest;
  order(o_wait_session);
  figure = denials;
  fresh = false;
  up_login_required = (denials >= 2 && expired -> true : up_login_required);
}

/* row 5: store_failed in ask: it is so */
#define ROW_5 ((state == s_ask))
inline row_5() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 6: clear in at-rest: it is so */
#define ROW_6 ((state == s_at_rest_4))
inline row_6() {
  state = s_active;
  order(o_poll);
  figure = 0;
  fresh = true;
}

/* row 7: cloudy in at-rest: it is so */
#define ROW_7 ((state == s_at_rest_4))
inline row_7() {
  state = s_at_rest;
  order(o_pause_rest_a_little);
  figure = 0;
  fresh = false;
}

/* row 8: polled in active: all is well */
#define ROW_8 ((state == s_active))
inline row_8() {
  trusted = true;
  expired = false;
  waits = 0;
  denials = 0;
  state = s_active;
  order(o_poll);
  figure = 0;
  fresh = false;
  up_login_required = false;
  up_renewal_blocked = false;
}

/* row 9: hurried in active: it is so */
#define ROW_9 ((state == s_active))
inline row_9() {
  hurries = (hurries < MOST_hurries -> hurries + 1 : MOST_hurries);
  state = s_active;
  order(o_poll);
  figure = (hurries + doubts < 2 -> hurries + doubts : 2);
  fresh = false;
}

/* row 10: hollow in active: it is lost, or may be */
#define ROW_10 ((state == s_active) && trusted && waits < 2)
inline row_10() {
  trusted = false;
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 11: hollow in active: it is lost, or may be */
#define ROW_11 ((state == s_active) && !trusted)
inline row_11() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 12: hollow in active: it is lost, or may be */
#define ROW_12 ((state == s_active) && waits >= 2)
inline row_12() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 13: session_expired in active: it is lost, or may be */
#define ROW_13 ((state == s_active) && trusted && waits < 2)
inline row_13() {
  trusted = false;
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 14: session_expired in active: it is lost, or may be */
#define ROW_14 ((state == s_active) && !trusted)
inline row_14() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 15: session_expired in active: it is lost, or may be */
#define ROW_15 ((state == s_active) && waits >= 2)
inline row_15() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 16: session_lapsed in active: it is lost, or may be */
#define ROW_16 ((state == s_active) && trusted && waits < 2)
inline row_16() {
  trusted = false;
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 17: session_lapsed in active: it is lost, or may be */
#define ROW_17 ((state == s_active) && !trusted)
inline row_17() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 18: session_lapsed in active: it is lost, or may be */
#define ROW_18 ((state == s_active) && waits >= 2)
inline row_18() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 19: silent in active: it is lost, or may be */
#define ROW_19 ((state == s_active) && trusted && waits < 2)
inline row_19() {
  trusted = false;
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 20: silent in active: it is lost, or may be */
#define ROW_20 ((state == s_active) && !trusted)
inline row_20() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 21: silent in active: it is lost, or may be */
#define ROW_21 ((state == s_active) && waits >= 2)
inline row_21() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 22: poll_failed in active: it is lost, or may be */
#define ROW_22 ((state == s_active) && trusted && waits < 2)
inline row_22() {
  trusted = false;
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 23: poll_failed in active: it is lost, or may be */
#define ROW_23 ((state == s_active) && !trusted)
inline row_23() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 24: poll_failed in active: it is lost, or may be */
#define ROW_24 ((state == s_active) && waits >= 2)
inline row_24() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 25: store_failed in active: it is lost, or may be */
#define ROW_25 ((state == s_active) && trusted && waits < 2)
inline row_25() {
  trusted = false;
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 26: store_failed in active: it is lost, or may be */
#define ROW_26 ((state == s_active) && !trusted)
inline row_26() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 27: store_failed in active: it is lost, or may be */
#define ROW_27 ((state == s_active) && waits >= 2)
inline row_27() {
  waits = (waits < MOST_waits -> waits + 1 : MOST_waits);
  state = s_at_rest;
  order(o_wait_transport);
  figure = waits;
  fresh = false;
}

/* row 28: night falls in active, at-rest: it is night then */
#define ROW_28 ((state == s_active || state == s_at_rest_4))
inline row_28() {
  state = s_at_rest;
  order(o_pause_rest_a_little);
  figure = 0;
  fresh = false;
}

/* row 29: retry_due in at rest: it is so */
#define ROW_29 ((state == s_at_rest))
inline row_29() {
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 30: wake in at rest: it is so */
#define ROW_30 ((state == s_at_rest))
inline row_30() {
  state = s_ask;
  order(o_renewal);
  figure = 0;
  fresh = false;
}

/* row 31: stop in ask, active, at rest, at-rest: somebody asked for it */
#define ROW_31 ((state == s_ask || state == s_active || state == s_at_rest || state == s_at_rest_4))
inline row_31() {
  waits = 0;
  denials = 0;
  doubts = 0;
  hurries = 0;
  state = s_end;
  order(o_close);
  figure = !was_expired;
  fresh = false;
  up_login_required = false;
  up_renewal_blocked = false;
}

/* row 32: closed in end: it is so */
#define ROW_32 ((state == s_end))
inline row_32() {
  expired = false;
  trusted = false;
  state = s_off;
  order(o_nothing);
  figure = 0;
  fresh = false;
}

#ifdef BARE
inline account() { skip }
#else
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
#endif

inline start_happens() {
  happened = t_start; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_0;
  if :: ROW_0 -> row = 0 :: else fi;
  if
  :: row == 0 -> row_0()
  :: else
  fi;
  printf("happened %d\n", 0);
  account()
}

inline stop_happens() {
  happened = t_stop; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_31;
  if :: ROW_31 -> row = 31 :: else fi;
  if
  :: row == 31 -> row_31()
  :: else
  fi;
  printf("happened %d\n", 1);
  account()
}

inline wake_happens() {
  happened = t_wake; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_30;
  if :: ROW_30 -> row = 30 :: else fi;
  if
  :: row == 30 -> row_30()
  :: else
  fi;
  printf("happened %d\n", 2);
  account()
}

inline closed_happens() {
  happened = t_closed; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_32;
  if :: ROW_32 -> row = 32 :: else fi;
  if
  :: row == 32 -> row_32()
  :: else
  fi;
  printf("happened %d\n", 3);
  account()
}

inline retry_due_happens() {
  happened = t_retry_due; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_29;
  if :: ROW_29 -> row = 29 :: else fi;
  if
  :: row == 29 -> row_29()
  :: else
  fi;
  printf("happened %d\n", 4);
  account()
}

inline session_renewed_happens() {
  happened = t_session_renewed; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_2;
  if :: ROW_2 -> row = 2 :: else fi;
  if
  :: row == 2 -> row_2()
  :: else
  fi;
  printf("happened %d\n", 5);
  account()
}

inline renewal_failed_happens() {
  happened = t_renewal_failed; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_3;
  if :: ROW_3 -> row = 3 :: else fi;
  if
  :: row == 3 -> row_3()
  :: else
  fi;
  printf("happened %d\n", 6);
  account()
}

inline credentials_changed_happens() {
  happened = t_credentials_changed; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_1;
  if :: ROW_1 -> row = 1 :: else fi;
  if
  :: row == 1 -> row_1()
  :: else
  fi;
  printf("happened %d\n", 7);
  account()
}

inline session_expired_happens() {
  happened = t_session_expired; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_4 + ROW_13 + ROW_14 + ROW_15;
  if :: ROW_15 -> row = 15 :: else fi;
  if :: ROW_14 -> row = 14 :: else fi;
  if :: ROW_13 -> row = 13 :: else fi;
  if :: ROW_4 -> row = 4 :: else fi;
  if
  :: row == 4 -> row_4()
  :: row == 13 -> row_13()
  :: row == 14 -> row_14()
  :: row == 15 -> row_15()
  :: else
  fi;
  printf("happened %d\n", 8);
  account()
}

inline session_lapsed_happens() {
  happened = t_session_lapsed; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_16 + ROW_17 + ROW_18;
  if :: ROW_18 -> row = 18 :: else fi;
  if :: ROW_17 -> row = 17 :: else fi;
  if :: ROW_16 -> row = 16 :: else fi;
  if
  :: row == 16 -> row_16()
  :: row == 17 -> row_17()
  :: row == 18 -> row_18()
  :: else
  fi;
  printf("happened %d\n", 9);
  account()
}

inline polled_happens() {
  happened = t_polled; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_8;
  if :: ROW_8 -> row = 8 :: else fi;
  if
  :: row == 8 -> row_8()
  :: else
  fi;
  printf("happened %d\n", 10);
  account()
}

inline hurried_happens() {
  happened = t_hurried; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_9;
  if :: ROW_9 -> row = 9 :: else fi;
  if
  :: row == 9 -> row_9()
  :: else
  fi;
  printf("happened %d\n", 11);
  account()
}

inline hollow_happens() {
  happened = t_hollow; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_10 + ROW_11 + ROW_12;
  if :: ROW_12 -> row = 12 :: else fi;
  if :: ROW_11 -> row = 11 :: else fi;
  if :: ROW_10 -> row = 10 :: else fi;
  if
  :: row == 10 -> row_10()
  :: row == 11 -> row_11()
  :: row == 12 -> row_12()
  :: else
  fi;
  printf("happened %d\n", 12);
  account()
}

inline silent_happens() {
  happened = t_silent; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_19 + ROW_20 + ROW_21;
  if :: ROW_21 -> row = 21 :: else fi;
  if :: ROW_20 -> row = 20 :: else fi;
  if :: ROW_19 -> row = 19 :: else fi;
  if
  :: row == 19 -> row_19()
  :: row == 20 -> row_20()
  :: row == 21 -> row_21()
  :: else
  fi;
  printf("happened %d\n", 13);
  account()
}

inline poll_failed_happens() {
  happened = t_poll_failed; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_22 + ROW_23 + ROW_24;
  if :: ROW_24 -> row = 24 :: else fi;
  if :: ROW_23 -> row = 23 :: else fi;
  if :: ROW_22 -> row = 22 :: else fi;
  if
  :: row == 22 -> row_22()
  :: row == 23 -> row_23()
  :: row == 24 -> row_24()
  :: else
  fi;
  printf("happened %d\n", 14);
  account()
}

inline store_failed_happens() {
  happened = t_store_failed; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_5 + ROW_25 + ROW_26 + ROW_27;
  if :: ROW_27 -> row = 27 :: else fi;
  if :: ROW_26 -> row = 26 :: else fi;
  if :: ROW_25 -> row = 25 :: else fi;
  if :: ROW_5 -> row = 5 :: else fi;
  if
  :: row == 5 -> row_5()
  :: row == 25 -> row_25()
  :: row == 26 -> row_26()
  :: row == 27 -> row_27()
  :: else
  fi;
  printf("happened %d\n", 15);
  account()
}

inline night_falls_happens() {
  happened = t_night_falls; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_28;
  if :: ROW_28 -> row = 28 :: else fi;
  if
  :: row == 28 -> row_28()
  :: else
  fi;
  printf("happened %d\n", 16);
  account()
}

inline clear_happens() {
  happened = t_clear; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_6;
  if :: ROW_6 -> row = 6 :: else fi;
  if
  :: row == 6 -> row_6()
  :: else
  fi;
  printf("happened %d\n", 17);
  account()
}

inline cloudy_happens() {
  happened = t_cloudy; ended = operation; ordered = 0; row = -1;
  was_expired = expired; was_trusted = trusted;
  was_waits = waits; was_denials = denials; was_hurries = hurries;
  applied = ROW_7;
  if :: ROW_7 -> row = 7 :: else fi;
  if
  :: row == 7 -> row_7()
  :: else
  fi;
  printf("happened %d\n", 18);
  account()
}

#ifdef BARE
#define BEGUN true
#else
#define BEGUN begun
#endif

/* server, network, store and clock: an operation that has begun, and is not replaced, is over at some time */
active proctype world() {
  do
#ifndef BARE
  :: d_step { operation != o_nothing && !begun -> begun = true }
#endif
  :: d_step { BEGUN && (operation == o_renewal) -> session_renewed_happens() }
  :: d_step { BEGUN && (operation == o_renewal) -> renewal_failed_happens() }
  :: d_step { BEGUN && (operation == o_renewal || operation == o_poll) -> session_expired_happens() }
#ifndef PLAIN
  :: d_step { BEGUN && (operation == o_renewal || operation == o_poll) -> store_failed_happens() }
#endif
  :: d_step { BEGUN && (operation == o_poll) -> polled_happens() }
  :: d_step { BEGUN && (operation == o_poll) -> hurried_happens() }
  :: d_step { BEGUN && (operation == o_poll) -> hollow_happens() }
  :: d_step { BEGUN && (operation == o_poll) -> session_lapsed_happens() }
  :: d_step { BEGUN && (operation == o_poll) -> silent_happens() }
  :: d_step { BEGUN && (operation == o_poll) -> poll_failed_happens() }
  :: d_step { BEGUN && (operation == o_perform_look) -> clear_happens() }
  :: d_step { BEGUN && (operation == o_perform_look) -> cloudy_happens() }
  :: d_step { BEGUN && (operation == o_wait_session || operation == o_wait_transport || operation == o_pause_rest_a_little) -> retry_due_happens() }
  :: d_step { BEGUN && (operation == o_close) -> closed_happens() }
  od
}

/* another process may log in while a renewal is under way */
active proctype elsewhere() {
  do
#ifndef BARE
  :: d_step { true -> skip }  /* it need not do anything */
#endif
#ifndef PLAIN
  :: d_step { (operation == o_renewal) -> credentials_changed_happens() }
#endif
  od
}

/* whoever owns the session may start, wake and stop it */
active proctype owner() {
  do
#ifndef BARE
  :: d_step { true -> skip }  /* it need not do anything */
#endif
  :: d_step { (operation == o_nothing) -> start_happens() }
#ifndef PLAIN
  :: d_step { (operation == o_renewal || operation == o_poll || operation == o_perform_look || operation == o_wait_session || operation == o_wait_transport || operation == o_pause_rest_a_little) -> stop_happens() }
#endif
  :: d_step { (operation == o_renewal || operation == o_poll || operation == o_perform_look || operation == o_wait_session || operation == o_wait_transport || operation == o_pause_rest_a_little) && (ROW_28) -> night_falls_happens() }
#ifndef PLAIN
  :: d_step { (operation == o_wait_session || operation == o_wait_transport || operation == o_pause_rest_a_little) -> wake_happens() }
#endif
  od
}

#ifndef BARE
/* between a loss and the next poll, notifystart was called and has ended, or succeeded if required */
ltl P1 { [] !broken_P1 }
/* exactly one operation is outstanding in every live state, the one that the state names */
ltl P3 { [] !broken_P3 }
/* exactly one row applies to whatever can happen */
ltl P4 { [] !broken_P4 }
/* stop orders the close and nothing else does; after closed there is no command */
ltl P5 { [] !broken_P5 }
/* waits, denials, hurries and trusted are reset by what may reset them, and by nothing else */
ltl P10 { [] !broken_P10 }
/* only stop ends a session; start begins with a renewal */
ltl P12 { [] !broken_P12 }
/* the ladder follows the cause: session for a denied session, transport for everything else */
ltl P13 { [] !broken_P13 }
/* expired holds exactly from a loss until a renewal or a good poll succeeds */
ltl P14 { [] !broken_P14 }
/* the first loss of a trusted session, and every lapse, renews at once; other losses wait */
ltl P16 { [] !broken_P16 }
/* no needless renewal: only after start, a wait, a lapse, or the first loss of a trusted session */
ltl P17 { [] !broken_P17 }
/* exactly three hollow answers in a row are a loss */
ltl P18 { [] !broken_P18 }
/* a stop leads to the initial state, with nothing outstanding */
ltl P0_stops { [] (stops -> <> (state == INITIAL && operation == o_nothing)) }
/* a session that lives starts a request again and again, while the store works */
ltl P6_requests { [] (LIVE -> <> (requests || store_fails || !LIVE)) }
/* and polls again and again, unless notifystart is denied, or fails where it is required */
ltl P6_polls { [] (LIVE -> <> (polls || excused || !LIVE)) }
/* if from some point on every request is answered well, there is a good poll again and again */
ltl P7_resumes { (<> [] (LIVE && well)) -> ([] <> good) }
/* if from some point on the server is honest, denying polls of a lost session until notifystart and nothing else, there is a good poll again and again */
ltl P7_heals { (<> [] (LIVE && honest)) -> ([] <> good) }
#endif
