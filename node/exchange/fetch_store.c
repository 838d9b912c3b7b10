#include "fetch_parts.h"

#include <string.h>

#include "compressible.h"
#include "inflight.h"
#include "negotiate.h"
#include "purge.h"
#include "recoder.h"
#include "request_out.h"
#include "response_in.h"
#include "response_policy.h"
#include "search_key.h"
#include "storable.h"
#include "stored.h"
#include "tier.h"

/* ---- judging ---- */

static void judge_for(struct fetch *f, const struct http_head *request,
                      const struct http_head *head, struct response_policy *policy)
{
    const struct response_question q = {
        .request = request,
        .response = head,
        .site = f->site->site,
        .route = &f->route->settings->cache,
        .request_time_s = f->request_time_s,
        .response_time_s = fetch_now_s(f),
        .part = f->slice.size > 0,
    };

    response_policy_of(policy, &q, &f->arena);
}

void fetch_judge(struct fetch *f, const struct http_head *head, struct response_policy *policy)
{
    judge_for(f, &f->req, head, policy);
}

/* The head of a stored GET response as it will be: a HEAD may have asked for it. */
void fetch_judge_as_get(struct fetch *f, const struct http_head *head,
                        struct response_policy *policy)
{
    struct http_head get = f->req;

    get.method_id = HTTP_M_GET;
    judge_for(f, &get, head, policy);
}

/* What is for the client alone whose request this is does not go where others take it from. */
bool fetch_give_own(struct fetch *f, const struct http_head *head,
                    const struct response_policy *policy, struct weir_err *err)
{
    return f->leader == NULL || response_in_own(&f->leader->own, head, policy, &f->leader->arena) ||
           weir_fail(err, WEIR_E_MEMORY, "fetch: fields of one client", 0);
}

/* any_client: its coding suits everyone. Then Accept-Encoding selects nothing where every request
 * went out with the same. */
void fetch_read_vary(struct fetch *f, const struct http_head *head, bool any_client)
{
    storable_vary(head, &f->route->settings->cache, &f->vary);
    if (any_client && request_out_asks_identity(f->route->settings))
        vary_forget_accept_encoding(&f->vary);
}

/* What the response says of its query: the rule, and whether the fill stands under the right key.
 */
bool fetch_read_search(struct fetch *f, const struct http_head *head, struct search_key *k)
{
    return search_key_of(k, head, f->route->settings->cache.key.no_vary_search, f->fill->key,
                         f->query, f->w->secret, &f->arena);
}

/* ---- storing ---- */

static void draft_key(const struct fetch *f, struct stored_draft *d)
{
    memset(d, 0, sizeof *d);
    d->hash = f->hash;
    d->key = f->fill->key;
    d->variant = f->fill->variant;
    d->tags = f->tags.text;
    d->purges = f->fill->purges;
    d->purge = &f->fill->purge;
}

void fetch_draft(const struct fetch *f, const struct fill_head *h, struct stored_draft *d)
{
    draft_key(f, d);
    d->status = h->status;
    d->head = weir_span(h->bytes->bytes, h->bytes->len);
    d->fields = h->fields;
    d->field_count = h->field_count;
    d->hidden_len = h->hidden_len;
    d->hidden_count = h->hidden_count;
    d->etag = h->etag;
    d->last_modified = h->last_modified;
    d->facts = h->facts;
    d->head_common = h->common;
    d->recodable = h->recodable;
}

/* Was it purged, in any way, since this fetch began? Its tags count once they are known. */
bool fetch_is_purged(struct fetch *f)
{
    int64_t since_s;

    return f->fill->purges != NULL &&
           purge_check(f->fill->purges, &f->fill->purge, &since_s) != PURGE_VALID;
}

/*
 * The tags of a response that may be stored, those in `kept` if it names none itself. From here on
 * nobody joins whom a purge of one of them should keep away. false: no memory.
 */
bool fetch_note_tags(struct fetch *f, const struct http_head *head, struct weir_span kept)
{
    const struct cache_settings *cache = f->site->site->source.cache;
    struct cache_key_parts parts;
    struct tags_question q = {
        .response = head,
        .fields = cache->tag_fields,
        .field_count = cache->tag_field_count,
        .kept = kept,
    };

    if (f->fill->purges == NULL || !cache_key_read(f->fill->key, &parts))
        return true;
    q.scheme = parts.scheme;
    q.authority = parts.authority;
    if (!tags_of(&f->tags, &q, f->fill->purges, &f->arena))
        return false;
    inflight_tags(f->w->inflight, f->fill, f->tags.hashes, f->tags.count);
    return true;
}

/*
 * Nobody shall queue for what cannot be shared. Where the response has a Vary it speaks for its
 * variant alone: the private page of one who is logged in says nothing of what all others get.
 */
void fetch_mark(struct fetch *f, const struct http_head *head, const char *why)
{
    char buf[VARY_KEY_INLINE];
    struct stored_draft d;
    struct stored_response *marker;

    draft_key(f, &d);
    d.variant = WEIR_SPAN_NONE; /* whatever the variant */
    d.why = why;
    if (head != NULL) {
        storable_vary(head, &f->route->settings->cache, &f->vary);
        d.variant = vary_key(&f->vary, &f->req, buf, sizeof buf, &f->arena);
    }
    marker =
        stored_marker_new(&d, net_now_ms(f->w->loop) + f->site->site->source.cache->hit_for_miss_ms,
                          NULL);
    if (marker != NULL) {
        tier_put(f->w->tier, marker);
        fetch_share_mark(f, marker);
    }
    stored_response_unref(marker);
}

/*
 * Stores r, unless it was purged since this fetch began: it may be older than that. (Should a purge
 * come between the question and the answer, look-up will know.) Nobody joins from here on.
 */
bool fetch_keep(struct fetch *f, struct stored_response *r)
{
    bool put = !fetch_is_purged(f) && tier_put(f->w->tier, r);

    inflight_remove(f->w->inflight, f->fill);
    return put;
}

/* How the coding of this response's content is dealt with. length: -1 unknown. */
void fetch_judge_coding(const struct fetch *f, const struct http_head *head, int64_t length,
                        bool storable, struct compressible *out)
{
    const struct route_settings *route = f->route->settings;

    if (!storable && !route->compression.stream && !http_head_has(head, HTTP_F_CONTENT_ENCODING)) {
        *out = (struct compressible){.coding = CODING_IDENTITY}; /* goes on as it came */
        return;
    }
    compressible_response(head, length, &route->compression, out);
    if (!route->compression.stream && (f->pass || out->events))
        out->yes = false;
    if (route->cache.esi.enabled) /* templates are read, and stay as they came */
        out->yes = false;
}

/* What is stored coded is small for that reason. */
static bool large_enough(const struct fetch *f, enum coding c, uint64_t len)
{
    return c != CODING_IDENTITY || len >= f->route->settings->compression.min_bytes;
}

/* Its zstd will take the place of what came without coding. */
static void begin_coding(struct fetch *f, struct stored_response *r)
{
    struct recoder_settings levels;

    if (r->forms == NULL || r->sent_coding != CODING_IDENTITY || f->w->recoder == NULL)
        return;
    negotiate_levels(f->site->site, &levels);
    recoder_begin(f->w->recoder, r, CODING_ZSTD, &levels);
}

void fetch_store(struct fetch *f)
{
    const struct fill_head *h = &f->fill->head;
    struct stored_draft d;
    struct stored_response *r;
    struct weir_err err;

    if (!h->storable || !f->fill->retain) {
        if (h->storable)
            fetch_share_store(f, NULL);
        return;
    }
    fetch_draft(f, h, &d);
    d.slices = f->fill->parts;
    d.slice_count = f->fill->part_count;
    d.coding = h->coding;
    d.recodable = h->recodable && large_enough(f, h->coding, f->fill->bytes);
    r = stored_response_new(&d, &err);
    if (r == NULL)
        return; /* the clients have it; the next one asks again */
    if (fetch_keep(f, r)) {
        weir_metric_add(f->w->metrics, WEIR_M_cache_stores, 1);
        begin_coding(f, r);
    }
    fetch_share_store(f, r);
    stored_response_unref(r);
}
