#include "health_own.h"

#include "weir/log.h"

#define DOUBT_MS      3000 /* something that others call up is down here for so long: look closer */
#define HOLD_LEAST_MS 3000
#define HOLD_MOST_MS  30000

/* ---- votes ---- */

/* A vote counts for what is asked only if its sayer is to be asked. */
static void count_votes(struct health *h, struct health_item *it)
{
    struct quorum_votes votes = {.probers = it->probers.count};
    enum health_reason up = HEALTH_R_NONE, down = HEALTH_R_NONE;

    it->others_up = 0;
    for (unsigned k = 0; k < it->probers.count; k++) {
        const uint32_t at = it->probers.at[k];
        struct vote v = {.vote = it->tally.vote, .reason = it->tally.reason};

        if (!h->members[at].self && !votes_find(h->read[at].votes, it->check->id, &v))
            continue;
        if (v.vote == HEALTH_VOTE_UP) {
            votes.up++;
            it->others_up += !h->members[at].self;
            up = v.reason;
        } else if (v.vote == HEALTH_VOTE_DOWN) {
            votes.down++;
            down = v.reason;
        }
    }
    it->votes = votes;
    it->votes_reason = 2 * votes.down > votes.up + votes.down ? down : up;
}

static const char *votes_text(unsigned say, unsigned of)
{
    static const char *const texts[HEALTH_PROBERS + 1][HEALTH_PROBERS + 1] = {
        {"no votes", "0 of 1 vote", "0 of 2 votes", "0 of 3 votes"},
        {"1 of 1 vote", "1 of 1 vote", "1 of 2 votes", "1 of 3 votes"},
        {"2 of 2 votes", "2 of 2 votes", "2 of 2 votes", "2 of 3 votes"},
        {"3 of 3 votes", "3 of 3 votes", "3 of 3 votes", "3 of 3 votes"},
    };

    return texts[say][of];
}

/* ---- one verdict ---- */

static void judge_by_votes(struct health *h, struct health_item *it)
{
    const unsigned all = it->votes.up + it->votes.down;

    quorum_judge(&it->quorum, &it->votes, health_now_ms(h));
    if (it->quorum.verdict == ORIGIN_UNKNOWN) {
        it->why = "too few votes";
        it->reason = it->tally.reason;
    } else if (it->quorum.held) {
        it->why = "held: too few votes";
    } else {
        it->why =
            votes_text(it->quorum.verdict == ORIGIN_DOWN ? it->votes.down : it->votes.up, all);
        it->reason = it->votes_reason;
    }
}

/* Everybody for himself. Until a probe has said something, what was so stands. */
static void judge_alone(struct health *h, struct health_item *it)
{
    it->votes = (struct quorum_votes){0};
    it->others_up = 0;
    it->quorum.agreed_ms = health_now_ms(h);
    it->quorum.held = it->tally.vote == HEALTH_NONE;
    if (it->quorum.held) {
        it->why = "held: others cannot be heard";
        return;
    }
    it->quorum.verdict = it->tally.vote == HEALTH_VOTE_DOWN ? ORIGIN_DOWN : ORIGIN_UP;
    it->why = "own probes: others cannot be heard";
    it->reason = it->tally.reason;
}

/* What this node sees itself, and flaps, on top. */
static int damp(struct health *h, struct health_item *it)
{
    int verdict = it->quorum.verdict;

    if (verdict != ORIGIN_DOWN && it->tally.vote == HEALTH_VOTE_DOWN) {
        verdict = ORIGIN_DOWN;
        it->why = "down from here";
        it->reason = it->tally.reason;
    }
    if (verdict == ORIGIN_DOWN && !it->down)
        flaps_down(&it->flaps, health_now_ms(h));
    it->down = verdict == ORIGIN_DOWN;
    if (flaps_look(&it->flaps, health_now_ms(h)) && !it->down) {
        verdict = ORIGIN_DOWN;
        it->why = "flapping";
    }
    return verdict;
}

static void report(const struct health_item *it, int verdict)
{
    const char *upstream = it->up->settings->name, *url = it->state->url;

    if (verdict == ORIGIN_DOWN)
        weir_log(WEIR_LOG_WARN, "upstream %s: origin %s is down: %s: %s", upstream, url, it->why,
                 health_reason_text(it->reason));
    else if (verdict == ORIGIN_UNKNOWN)
        weir_log(WEIR_LOG_WARN, "upstream %s: whether origin %s is up is not known: %s", upstream,
                 url, it->why);
    else
        weir_log(WEIR_LOG_INFO, "upstream %s: origin %s is up: %s", upstream, url, it->why);
}

static void judge(struct health *h, struct health_item *it)
{
    int verdict;

    count_votes(h, it);
    if (h->autonomous)
        judge_alone(h, it);
    else
        judge_by_votes(h, it);
    verdict = damp(h, it);
    if (verdict != it->verdict) {
        it->verdict = verdict;
        h->verdict_changes++;
        report(it, verdict);
    }
    origin_state_set_verdict(it->state, (enum origin_verdict)verdict, h->loop->clock.mono_us);
}

/* ---- this node against the others ---- */

/* How long a prober may need to notice a death, at most. */
static int64_t notice_ms(const struct health_check *c)
{
    return c->interval_ms + c->fall * (c->fast_interval_ms + c->timeout_ms);
}

static void see(struct suspicion_sight *sight, const struct health_item *it)
{
    const enum health_vote own = health_own_view(it);

    if (it->quorum.verdict != ORIGIN_UP || it->others_up == 0)
        return;
    sight->others_up++;
    sight->seen += own != HEALTH_NONE;
    if (own != HEALTH_VOTE_DOWN)
        return;
    sight->down++;
    if (sight->hold_ms < notice_ms(it->check))
        sight->hold_ms = notice_ms(it->check);
}

static void look_at_oneself(struct health *h)
{
    struct suspicion_sight sight = {.hold_ms = HOLD_LEAST_MS};
    const int64_t now = health_now_ms(h);

    for (size_t i = 0; i < h->checked; i++)
        see(&sight, h->by_id[i]);
    if (sight.hold_ms > HOLD_MOST_MS)
        sight.hold_ms = HOLD_MOST_MS;
    sight.hold_ms += DOUBT_MS;
    if (sight.down == 0)
        h->doubt_ms = 0;
    else if (h->doubt_ms == 0)
        h->doubt_ms = now;
    if (!suspicion_judge(&h->suspicion, &sight, now))
        return;
    h->said_changed = true;
    health_look(h); /* its probes are others' now, or its own again */
    if (h->suspicion.suspect)
        weir_log(WEIR_LOG_WARN,
                 "health: %u of %u origins are down from here that others call up: this node "
                 "suspects itself, and votes no more",
                 sight.down, sight.seen);
    else
        weir_log(WEIR_LOG_INFO, "health: this node does not suspect itself any more");
}

bool health_doubts(const struct health *h)
{
    return h->suspicion.suspect || (h->doubt_ms != 0 && health_now_ms(h) - h->doubt_ms >= DOUBT_MS);
}

void health_judge(struct health *h)
{
    for (size_t i = 0; i < h->checked; i++)
        judge(h, h->by_id[i]);
    look_at_oneself(h);
}

void health_note_force(struct health_item *it)
{
    const int in_force = origin_state_in_force(it->state);

    if (in_force == it->in_force)
        return;
    it->in_force = in_force;
    it->since_ms = health_now_ms(it->h);
}
