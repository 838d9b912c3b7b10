#include "challenge_stage.h"

#include "weir/container.h"
#include "weir/gcra.h"
#include "weir/shared.h"
#include "acme_challenge.h"
#include "reply.h"

#define TIMEOUT_MS 1000
/* Anybody may ask for tokens that nobody knows: so many questions a worker puts to shared state. */
static const struct weir_gcra_rate asked = {.interval_us = 10000, .burst = 100};

/* A question to shared state; in the exchange's arena. */
struct exchange_challenge {
    struct shared_call call;
    struct weir_exchange *x;
    bool waits;
};

static void on_answer(struct shared_call *c)
{
    struct exchange_challenge *q = WEIR_CONTAINER(c, struct exchange_challenge, call);

    net_loop_enter(q->x->loop);
    exchange_resume(q->x, EXCHANGE_WAIT); /* runs the stage again */
}

void challenge_stage_cancel(struct weir_exchange *x)
{
    shared_cancel(x->w->shared, &x->challenge->call);
}

/* As much as it takes to tell the owner of a name from who is not (RFC 8555 8.3). */
static enum exchange_verdict answer(struct weir_exchange *x, struct exchange_challenge *q)
{
    struct weir_span token = acme_challenge_token(x->target.path), found;
    struct weir_span text = WEIR_SPAN_NONE;
    const struct weir_slice *v = &q->call.value;

    q->waits = false;
    if (q->call.result == SHARED_OK &&
        acme_challenge_open(x->site->site->challenges, token, weir_span(weir_slice_ptr(*v), v->len),
                            &found))
        text = weir_arena_dup(&x->arena, found);
    shared_call_clear(&q->call);
    if (text.ptr == NULL)
        return EXCHANGE_NEXT;
    return reply_with_text(x, 200, text) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
}

static enum exchange_verdict ask(struct weir_exchange *x, struct weir_span token)
{
    struct exchange_challenge *q = weir_arena_alloc(&x->arena, sizeof *q);
    char key[ACME_KEY_MAX];

    if (q == NULL) {
        weir_fail(&x->err, WEIR_E_MEMORY, "challenge: ask", 0);
        return EXCHANGE_FAIL;
    }
    *q = (struct exchange_challenge){.x = x, .waits = true};
    q->call.done = on_answer;
    q->call.area = SHARED_STATE;
    q->call.timeout_ms = TIMEOUT_MS;
    q->call.primary = true; /* it was put there a moment ago */
    x->challenge = q;
    shared_get(x->w->shared, &q->call, acme_challenge_key(x->site->site->challenges, token, key));
    if (exchange_hold(x))
        return EXCHANGE_WAIT;
    challenge_stage_cancel(x);
    return EXCHANGE_FAIL;
}

enum exchange_verdict challenge_stage_run(struct weir_exchange *x)
{
    struct weir_gcra_answer may;
    struct weir_span token;

    if (x->challenge != NULL && x->challenge->waits)
        return answer(x, x->challenge);
    token = acme_challenge_token(x->target.path);
    if (token.ptr == NULL || x->w->shared == NULL ||
        (x->req.method_id != HTTP_M_GET && x->req.method_id != HTTP_M_HEAD) ||
        !weir_gcra_take(&x->w->challenge_tat_us, &asked, x->loop->clock.mono_us, 1, &may))
        return EXCHANGE_NEXT;
    return ask(x, token);
}
