#include "fetch_parts.h"

#include "compressible.h"
#include "inflight.h"
#include "purging.h"
#include "response_in.h"
#include "response_policy.h"
#include "reuse.h"
#include "search_key.h"
#include "storable.h"
#include "stored.h"
#include "tier.h"
#include "validate.h"

/* A 304 may bring another No-Vary-Search: then what it freshens lies under the wrong key. */
static bool keeps_key(struct fetch *f, const struct http_head *merged)
{
    struct search_key search;
    bool keeps = fetch_read_search(f, merged, &search) && !search.moved;

    search_key_release(&search);
    return keeps;
}

/* The variant that a 304 makes of what it freshens: it may bring another Vary. */
static struct weir_span freshened_variant(struct fetch *f, const struct http_head *not_modified,
                                          const struct http_head *merged,
                                          const struct stored_response *old)
{
    struct weir_span variant = WEIR_SPAN_NONE;

    if (http_head_has(not_modified, HTTP_F_VARY)) {
        fetch_read_vary(f, merged, old->sent_coding == CODING_IDENTITY || old->forms != NULL);
        variant = vary_key(&f->vary, &f->req, NULL, 0, &f->arena);
    }
    return variant.ptr != NULL ? variant : old->variant;
}

/* What a 304 has made of what we hold. */
enum freshened {
    FRESHENED_FOR_ALL, /* it is stored under its new head */
    FRESHENED_FOR_ONE, /* it stays as it was: the client's no-store or Authorization forbids more */
    FRESHENED_OUTDATED, /* it has become private or the like: for who asked, not for others */
};

static enum freshened outcome(const struct response_policy *policy, bool keeps_key)
{
    if (!keeps_key || storable_marks_key(policy->verdict))
        return FRESHENED_OUTDATED;
    return policy->verdict == STORABLE_YES ? FRESHENED_FOR_ALL : FRESHENED_FOR_ONE;
}

/* The new head over the content as it is now: meanwhile it may have been coded. */
static struct stored_response *
over_content(const struct fetch *f, const struct stored_response *old, const struct stored_draft *d)
{
    struct stored_response *holder = old->forms != NULL ? tier_holder(f->w->tier, old) : NULL;
    struct stored_response *r = stored_response_freshened(holder != NULL ? holder : old, d, NULL);

    stored_response_unref(holder);
    return r;
}

/*
 * The stored response, seen as `view`, under its new head (RFC 9111 4.3.4); NULL without memory.
 * *is: what becomes of the old one.
 */
static struct stored_response *freshen(struct fetch *f, const struct http_head *not_modified,
                                       struct stored_response *old, const struct http_head *view,
                                       enum freshened *is)
{
    struct response_policy policy;
    struct http_head merged;
    struct compressible coding;
    struct fill_head h;
    struct stored_draft d;
    struct stored_response *r = NULL;
    struct weir_err err;

    if (!validate_merge(&merged, view, not_modified, &f->arena) ||
        !fetch_note_tags(f, &merged, old->tags))
        return NULL;
    fetch_judge_as_get(f, &merged, &policy);
    fetch_judge_coding(f, &merged, (int64_t)old->sent_len, true, &coding);
    if (!fetch_give_own(f, &merged, &policy, &err) ||
        !response_in_build(&h, &merged, NULL, f->site->site, &policy, &coding, fetch_now_s(f),
                           &err))
        return NULL;
    *is = outcome(&policy, keeps_key(f, &merged));
    fetch_draft(f, &h, &d);
    d.variant = freshened_variant(f, not_modified, &merged, old);
    r = over_content(f, old, &d);
    response_in_clear(&h);
    return r;
}

/* The 304 speaks of something that we do not hold, so what we hold is of no use (RFC 9111 4.3.4):
 * everyone who waits looks again, and finds nothing to make a condition from. */
static void ask_without_condition(struct fetch *f)
{
    tier_drop(f->w->tier, f->validating);
    fetch_send_back(f);
}

/* A 304 for what we hold, or what says as much: everyone who waits is answered from it. */
void fetch_not_modified(struct fetch *f, const struct http_head *head)
{
    struct stored_response *old = f->validating, *r = NULL;
    struct http_head view;
    enum freshened is = FRESHENED_FOR_ONE;
    bool stored = false;
    struct weir_err err = {0};

    if (response_in_view(&view, old->fields, old->field_count + old->hidden_count, old->status,
                         &f->arena)) {
        if (!validate_names(head, &view)) {
            ask_without_condition(f);
            return;
        }
        r = freshen(f, head, old, &view, &is);
    }
    if (r == NULL) {
        weir_fail(&err, WEIR_E_MEMORY, "fetch: freshen", 0);
        fetch_give_up(f, &err);
        return;
    }
    if (is == FRESHENED_FOR_ALL) {
        stored = fetch_keep(f, r);
        if (stored && !weir_span_eq(r->variant, old->variant))
            tier_drop(f->w->tier, old); /* it would go on answering whom the new Vary excludes */
        if (stored)
            fetch_share_freshened(f, r);
    } else {
        inflight_remove(f->w->inflight, f->fill);
        if (is == FRESHENED_OUTDATED)
            tier_drop(f->w->tier, old);
        fill_disband(f->fill, f->leader != NULL ? f->leader->reader : NULL);
    }
    weir_metric_add(f->w->metrics, WEIR_M_cache_validated, 1);
    fill_answer(f->fill, r, true, stored, head->status, NULL);
    stored_response_unref(r);
}

/* The origin cannot answer, but what we hold may still serve (RFC 5861 4). */
bool fetch_answer_stale(struct fetch *f, int status, const char *why)
{
    struct reuse_facts reuse;

    if (f->validating == NULL || !purging_reuse(f->w, f->validating, &reuse) ||
        !reuse_on_error(&reuse, fetch_now_s(f)))
        return false;
    inflight_remove(f->w->inflight, f->fill);
    fill_answer(f->fill, f->validating, false, false, status, why);
    return true;
}

/*
 * A HEAD that was to validate, and was answered 200: does it validate all the same (RFC 9111
 * 4.3.5)? If it tells that what we hold is another thing, that is no longer fresh.
 */
bool fetch_head_validates(struct fetch *f, const struct http_head *head)
{
    struct stored_response *old = f->validating;
    struct http_head view;

    if (f->request.method != HTTP_M_HEAD || head->status != 200 || old->status != 200 ||
        !response_in_view(&view, old->fields, old->field_count, old->status, &f->arena))
        return false;
    switch (validate_head(head, &view, old->sent_len)) {
    case VALIDATE_HEAD_SAME:
        return true;
    case VALIDATE_HEAD_DIFFERS:
        if (reuse_check(&old->facts.reuse, NULL, fetch_now_s(f)).verdict == REUSE_FRESH)
            tier_drop(f->w->tier, old); /* only the client wanted the origin asked */
        return false;
    case VALIDATE_HEAD_SILENT:
        break;
    }
    return false;
}
