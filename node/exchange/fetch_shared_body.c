#include "fetch_shared.h"

#include <string.h>

#include "weir/alloc.h"
#include "inflight.h"
#include "response_in.h"
#include "stored.h"
#include "tier.h"

#define WHOLE_BYTES (256 * 1024) /* up to here the content is waited for; beyond it streams */

static void count(const struct fetch_shared *s, enum weir_metric m)
{
    weir_metric_add(s->f->w->metrics, m, 1);
}

/* ---- loading: the whole of it, for the memory tier ---- */

void shared_drop_slices(struct fetch_shared *s)
{
    for (size_t i = 0; i < s->slice_count; i++)
        weir_blob_unref(s->slices[i].blob);
    if (s->slices != s->few)
        weir_free(s->slices);
    s->slices = NULL;
    s->slice_count = s->slice_cap = 0;
}

static bool grow_slices(struct fetch_shared *s)
{
    size_t cap = s->slice_cap * 4;
    struct weir_slice *grown;

    if (s->slices == NULL) {
        s->slices = s->few;
        s->slice_cap = SHARED_FEW;
        return true;
    }
    grown = weir_realloc(s->slices != s->few ? s->slices : NULL, cap * sizeof *grown);
    if (grown == NULL)
        return false;
    if (s->slices == s->few)
        memcpy(grown, s->few, sizeof s->few);
    s->slices = grown;
    s->slice_cap = cap;
    return true;
}

/* Takes the reference. */
static bool keep_slice(struct fetch_shared *s, struct weir_slice slice)
{
    if (s->slice_count == s->slice_cap && !grow_slices(s)) {
        weir_blob_unref(slice.blob);
        return false;
    }
    s->slices[s->slice_count++] = slice;
    return true;
}

static struct stored_response *restore(const struct fetch_shared *s,
                                       const struct weir_slice *slices, size_t n)
{
    struct fetch *f = s->f;

    return stored_record_restore(&s->record, f->hash, f->fill->purges, slices, n, fetch_now_s(f),
                                 net_now_ms(f->w->loop), NULL);
}

/* It is the answer for all who wait. Takes r. */
static void answer(struct fetch_shared *s, struct stored_response *r)
{
    struct fetch *f = s->f;

    tier_put(f->w->tier, r);
    inflight_remove(f->w->inflight, f->fill);
    shared_release(s, SHARE_LOOK);
    f->fill->from_farm = true;
    fill_answer(f->fill, r, true, false, 0, NULL);
    stored_response_unref(r);
    fetch_finish(f);
}

/* As if it had been found in memory: it is what the origin is asked about. Takes r. */
static void validate(struct fetch_shared *s, struct stored_response *r)
{
    struct fetch *f = s->f;

    count(s, WEIR_M_shared_stale);
    tier_put(f->w->tier, r);
    stored_response_unref(f->validating);
    f->validating = r;
    if (f->leader != NULL)
        f->leader->fwd = FWD_STALE;
    store_read_close(s->read);
    s->read = NULL;
    shared_drop_slices(s);
    shared_lease(s);
}

static void on_loaded(struct fetch_shared *s)
{
    struct stored_response *r = restore(s, s->slices, s->slice_count);

    if (r == NULL) {
        shared_nothing(s);
    } else if (s->use == SHARED_ANSWERS) {
        answer(s, r);
    } else if (s->use == SHARED_STALE_NOW && tier_put(s->f->w->tier, r)) {
        count(s, WEIR_M_shared_stale);
        stored_response_unref(r);
        fetch_send_back(s->f); /* each is answered from memory, and one has it refreshed */
    } else {
        validate(s, r);
    }
}

static void load(struct fetch_shared *s)
{
    struct weir_slice slice;

    for (;;) {
        switch (store_read_next(s->read, &slice)) {
        case STORE_BYTES:
            if (keep_slice(s, slice))
                continue;
            shared_nothing(s);
            return;
        case STORE_WAIT:
            return;
        case STORE_END:
            on_loaded(s);
            return;
        case STORE_BROKEN:
            count(s, WEIR_M_shared_broken);
            shared_nothing(s);
            return;
        }
    }
}

/* ---- streaming: through the fill ---- */

/* The same bytes in the copy of the head. */
static struct weir_span moved(struct weir_span s, const char *from, const char *to)
{
    return s.ptr != NULL ? weir_span(to + (s.ptr - from), s.len) : s;
}

static bool make_head(struct fill_head *h, const struct stored_record *r)
{
    size_t len = r->head.len + r->hidden_len;
    uint32_t rows = r->field_count + r->hidden_count;

    *h = (struct fill_head){
        .status = r->status,
        .bytes = weir_blob_new(len),
        .fields = weir_malloc((rows + 1) * sizeof *h->fields),
        .field_count = r->field_count,
        .hidden_count = r->hidden_count,
        .hidden_len = r->hidden_len,
        .length = r->sent_len_open ? -1 : (int64_t)r->sent_len,
        .common = r->head_common,
        .coding = r->sent_coding,
        .recodable = r->recodable && !r->as_sent_only,
        .facts = r->facts,
        .storable = true,
    };
    if (h->bytes == NULL || h->fields == NULL) {
        response_in_clear(h);
        return false;
    }
    memcpy(h->bytes->bytes, r->head.ptr, len);
    h->bytes->len = (uint32_t)r->head.len;
    for (uint32_t i = 0; i < rows; i++) {
        h->fields[i] = r->fields[i];
        h->fields[i].name = moved(r->fields[i].name, r->head.ptr, h->bytes->bytes);
        h->fields[i].value = moved(r->fields[i].value, r->head.ptr, h->bytes->bytes);
    }
    h->etag = moved(r->etag, r->head.ptr, h->bytes->bytes);
    h->last_modified = moved(r->last_modified, r->head.ptr, h->bytes->bytes);
    return true;
}

/* Who joins from here on is told apart by variant and tags, as at a fetch from the origin. */
static bool settle(struct fetch_shared *s)
{
    struct fetch *f = s->f;

    f->tags.hashes = s->record.hashes;
    f->tags.count = s->record.hash_count;
    f->tags.text = weir_arena_dup(&f->arena, s->record.tags);
    if (f->tags.text.ptr == NULL || !vary_of_key(&f->vary, s->record.variant))
        return false;
    if (f->fill->purges != NULL)
        inflight_tags(f->w->inflight, f->fill, f->tags.hashes, f->tags.count);
    return inflight_variant(f->w->inflight, f->fill, &f->vary, s->record.variant);
}

static bool fits_memory(const struct fetch_shared *s)
{
    return s->f->fill->bytes <= s->f->site->site->source.cache->object_max_bytes;
}

/* Too large for this node's memory: nobody joins any more, those who come look in the store. */
static void stop_retaining(struct fetch_shared *s)
{
    struct fetch *f = s->f;

    f->fill->outdated = true;
    inflight_remove(f->w->inflight, f->fill);
    fill_stop_retaining(f->fill);
}

/* The first bytes are here. */
static bool open_fill(struct fetch_shared *s)
{
    struct fetch *f = s->f;
    struct fill_head h;

    if (!settle(s) || !make_head(&h, &s->record))
        return false;
    shared_release(s, SHARE_LOOK);
    share_wait_end(&s->wait);
    s->streaming = true;
    f->fill->from_farm = true;
    fill_open(f->fill, &h, true);
    if (h.length > 0 && (uint64_t)h.length > f->site->site->source.cache->object_max_bytes)
        stop_retaining(s);
    return true;
}

/* false: the window is full, or the fetch has ended. Takes the slice. */
static bool give(struct fetch_shared *s, struct weir_slice slice)
{
    struct fetch *f = s->f;
    bool go_on = fill_append(f->fill, slice);

    if (f->ended)
        return false;
    if (f->fill->retain && !fits_memory(s))
        stop_retaining(s);
    return go_on;
}

static void on_streamed(struct fetch_shared *s)
{
    struct fetch *f = s->f;

    if (f->fill->retain && f->fill->state == FILL_OPEN) {
        struct stored_response *r;

        s->record.sent_len = f->fill->bytes;
        s->record.sent_len_open = false;
        s->record.coding = s->record.sent_coding; /* as it was streamed */
        r = restore(s, f->fill->parts, f->fill->part_count);
        if (r != NULL)
            tier_put(f->w->tier, r);
        stored_response_unref(r);
    }
    inflight_remove(f->w->inflight, f->fill);
    fill_finish(f->fill, NULL);
    fetch_finish(f);
}

static void on_broken(struct fetch_shared *s)
{
    struct fetch *f = s->f;
    struct weir_err err = {.code = WEIR_E_RESPONSE_TRUNCATED,
                           .where = "fetch: content in the farm's store broke off"};

    count(s, WEIR_M_shared_broken);
    if (!s->streaming) {
        shared_nothing(s);
        return;
    }
    s->streaming = false;
    store_read_close(s->read);
    s->read = NULL;
    fetch_broke_off(f, &err);
}

static enum store_step next(struct fetch_shared *s, struct weir_slice *out)
{
    return s->decoder != NULL ? share_decoder_next(s->decoder, s->read, out)
                              : store_read_next(s->read, out);
}

static void stream(struct fetch_shared *s)
{
    struct weir_slice slice;

    for (;;) {
        switch (next(s, &slice)) {
        case STORE_BYTES:
            if (!s->streaming && !open_fill(s)) {
                weir_blob_unref(slice.blob);
                shared_nothing(s);
                return;
            }
            if (!give(s, slice))
                return;
            continue;
        case STORE_WAIT:
            return;
        case STORE_END:
            if (s->streaming || open_fill(s))
                on_streamed(s);
            else
                shared_nothing(s);
            return;
        case STORE_BROKEN:
            on_broken(s);
            return;
        }
    }
}

/* ---- either ---- */

/* What is coded is loaded whole where memory may hold it in every coding. What grows is of unknown
 * length. */
static bool streams(const struct fetch_shared *s)
{
    uint64_t max = s->f->site->site->source.cache->object_max_bytes;

    if (s->use != SHARED_ANSWERS)
        return false;
    if (s->record.coding == s->record.sent_coding)
        return s->body_bytes > WHOLE_BYTES;
    return s->body_bytes > max || s->record.sent_len > max;
}

/* false: it cannot be read here. */
static bool make_decoder(struct fetch_shared *s)
{
    const struct stored_record *r = &s->record;

    share_decoder_free(s->decoder);
    s->decoder = NULL;
    if (!streams(s) || r->coding == r->sent_coding)
        return true;
    if (r->coding != CODING_ZSTD || r->sent_coding != CODING_IDENTITY)
        return false;
    s->decoder = share_decoder_new(r->sent_len_open ? s->settings->object_max_bytes : r->sent_len,
                                   !r->sent_len_open);
    return s->decoder != NULL;
}

void shared_pump(struct fetch_shared *s)
{
    if (s->read == NULL)
        return;
    if (streams(s))
        stream(s);
    else
        load(s);
}

void shared_bring(struct fetch_shared *s)
{
    if ((!streams(s) && s->body_bytes > s->f->site->site->source.cache->object_max_bytes) ||
        !make_decoder(s)) {
        shared_nothing(s);
        return;
    }
    store_read_range(s->read, 0, UINT64_MAX);
    shared_pump(s);
}
