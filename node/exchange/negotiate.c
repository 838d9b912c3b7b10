#include "negotiate.h"

#include <string.h>

#include "weir/container.h"

#include "deliver.h"
#include "deliver_range.h"
#include "http_coding_tag.h"
#include "recoder.h"
#include "stored.h"
#include "tier.h"

#define WAIT_MS 1000 /* then the client gets what there is */

#define LEVEL_ZSTD 6 /* where nobody has set any */
#define LEVEL_BR   5
#define LEVEL_GZIP 6

static const struct http_accept_encoding identity_alone = {.order = {CODING_IDENTITY},
                                                           .count = 1,
                                                           .accepted = 1U << CODING_IDENTITY};

static const struct http_accept_encoding *accept_of(struct weir_exchange *x)
{
    return x->parent != NULL ? &identity_alone
                             : http_accept_encoding(&x->req, &x->w->accept_encoding);
}

bool negotiate_accepts(struct weir_exchange *x, enum coding c)
{
    return http_accepts(accept_of(x), c);
}

enum coding negotiate_listed(struct weir_exchange *x, struct weir_span etag, enum coding sent)
{
    const struct http_accept_encoding *a = accept_of(x);

    return http_coding_tag_listed(&x->req, etag, sent, a->order, a->count);
}

void negotiate_levels(const struct site *site, struct recoder_settings *out)
{
    const struct compression_settings *c = site->source.compression;

    memset(out, 0, sizeof *out);
    out->level[CODING_ZSTD] = c != NULL ? c->zstd_level : LEVEL_ZSTD;
    out->level[CODING_BR] = c != NULL ? c->brotli_level : LEVEL_BR;
    out->level[CODING_GZIP] = c != NULL ? c->gzip_level : LEVEL_GZIP;
    out->identity_max = site->source.cache->object_max_bytes;
}

/* ---- stored responses ---- */

/* Which coding x should get, be it there or not. */
static enum coding wanted(struct weir_exchange *x, const struct stored_response *r,
                          const struct http_accept_encoding *a)
{
    unsigned possible = ~(unsigned)r->forms->useless | 1U << r->coding | 1U << r->sent_coding;
    enum coding best;

    if (r->as_sent_only || !x->route->settings->compression.enabled)
        return r->sent_coding;
    if (http_accepts(a, r->sent_coding) &&
        (r->sent_coding != CODING_IDENTITY || range_asked(&x->req)))
        return r->sent_coding;
    best = http_accept_encoding_best(a, possible);
    return best != CODING_OTHER ? best : r->sent_coding;
}

static unsigned there(const struct stored_response *r)
{
    unsigned bits = 1U << r->coding;

    for (int c = 0; c < CODINGS; c++)
        if (r->forms->form[c] != NULL)
            bits |= 1U << c;
    return bits;
}

void negotiate_look(struct weir_exchange *x, const struct stored_response *r)
{
    const struct http_accept_encoding *a;
    enum coding c;

    stored_form_unref(x->form); /* of one that did not answer after all */
    x->form = NULL;
    x->looked = r;
    if (r->forms == NULL)
        return;
    a = accept_of(x);
    x->coding_wanted = c = wanted(x, r, a);
    if (c == r->coding)
        return;
    x->form = stored_form_take(r, c);
    if (x->form != NULL)
        return;
    c = http_accept_encoding_best(a, there(r)); /* should it not be made */
    if (c != CODING_OTHER && c != r->coding)
        x->form = stored_form_take(r, c);
}

static void look(const struct stored_response *r, void *arg)
{
    negotiate_look(arg, r);
}

static enum exchange_verdict deliver_now(struct weir_exchange *x)
{
    return deliver_stored(x, x->answer_stored) ? EXCHANGE_REPLY : EXCHANGE_FAIL;
}

/* ---- waiting ---- */

void negotiate_cancel(struct weir_exchange *x)
{
    if (x->form_wait == NULL)
        return;
    net_timer_stop(x->loop, &x->collapse_timer);
    recoder_wait_close(x->form_wait);
    x->form_wait = NULL;
}

static void on_made(void *arg)
{
    struct weir_exchange *x = arg;
    struct stored_form *f = recoder_wait_form(x->form_wait);

    negotiate_cancel(x);
    if (f != NULL) {
        stored_form_unref(x->form);
        x->form = f;
    }
    exchange_resume(x, deliver_now(x));
}

static void on_late(struct net_timer *t)
{
    struct weir_exchange *x = WEIR_CONTAINER(t, struct weir_exchange, collapse_timer);

    negotiate_cancel(x);
    exchange_resume(x, deliver_now(x));
}

/* Has what x wants made; false: it will not come. */
static bool wait_for_form(struct weir_exchange *x)
{
    struct recoder_settings levels;

    if (x->w->recoder == NULL || !exchange_hold(x))
        return false;
    negotiate_levels(x->site->site, &levels);
    x->form_wait =
        recoder_ask(x->w->recoder, x->stored, x->coding_wanted, &levels, &x->loop->box, on_made, x);
    if (x->form_wait == NULL)
        return false;
    weir_metric_add(x->w->metrics, WEIR_M_form_waits, 1);
    x->collapse_timer.fire = on_late;
    net_timer_start(x->loop, &x->collapse_timer, net_now_ms(x->loop) + WAIT_MS);
    return true;
}

/* A 304 will do, whatever there is of the content. */
static bool needs_no_content(struct weir_exchange *x)
{
    const struct stored_response *r = x->stored;

    return http_head_has(&x->req, HTTP_F_IF_NONE_MATCH) &&
           negotiate_listed(x, r->etag, r->sent_coding) != CODING_OTHER;
}

enum exchange_verdict negotiate_stored(struct weir_exchange *x, bool stored)
{
    const struct stored_response *r = x->stored;

    x->answer_stored = stored;
    if (x->looked != r) {
        if (r->forms != NULL && x->w->tier != NULL)
            tier_look(x->w->tier, r, look, x);
        else
            negotiate_look(x, r);
    }
    if (r->forms == NULL || x->coding_wanted == (x->form != NULL ? x->form->coding : r->coding) ||
        needs_no_content(x) || !wait_for_form(x))
        return deliver_now(x);
    return EXCHANGE_WAIT;
}

/* ---- fills ---- */

enum coding negotiate_fill(struct weir_exchange *x, const struct fill_head *h)
{
    const struct http_accept_encoding *a;
    enum coding best;

    if (!h->recodable)
        return h->coding;
    a = accept_of(x);
    if (h->coding != CODING_IDENTITY) /* a pass asked as the client did: so it shall be */
        return x->pass || http_accepts(a, h->coding) || !http_accepts(a, CODING_IDENTITY)
                   ? h->coding
                   : CODING_IDENTITY;
    if (!x->route->settings->compression.stream || range_asked(&x->req) ||
        (x->w->pressure != NULL && atomic_load(x->w->pressure) != PRESSURE_NONE))
        return CODING_IDENTITY;
    best = http_accept_encoding_best(a, ~0U);
    return best != CODING_OTHER ? best : CODING_IDENTITY;
}
