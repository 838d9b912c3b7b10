#include "fetch_parts.h"

#include "negotiate.h"
#include "recoder.h"
#include "share_lead.h"
#include "stored.h"
#include "stored_record.h"

#define STREAM_BYTES   (1024 * 1024) /* larger content is stored as it comes */
#define VALIDATE_MIN_S 60   /* what can be validated is kept so long beyond its lifetime, */
#define VALIDATE_MAX_S 3600 /* or as long as that, up to this */
#define TTL_MAX_S      (INT64_C(365) * 86400)

static const struct shared_cache_settings *settings_of(const struct fetch *f)
{
    return &f->site->site->source.cache->shared;
}

/* ---- how long, and under which name ---- */

static int64_t between(int64_t v, int64_t min, int64_t max)
{
    return v < min ? min : v > max ? max : v;
}

/* Beyond its lifetime it may be served stale, or be validated. */
static int64_t useful_when_stale(const struct reuse_facts *r, bool validator)
{
    int64_t s = validator ? between(r->lifetime, VALIDATE_MIN_S, VALIDATE_MAX_S) : 0;

    if (r->never_stale)
        return s;
    if (s < r->stale_while_revalidate)
        s = r->stale_while_revalidate;
    return s < r->stale_if_error ? r->stale_if_error : s;
}

static int64_t ttl_ms_of(const struct stored_facts *facts, bool validator, int64_t now_s)
{
    const struct reuse_facts *r = &facts->reuse;
    int64_t left = r->lifetime - reuse_age(r, now_s);

    if (left < 0)
        left = 0;
    return between(left + useful_when_stale(r, validator), 0, TTL_MAX_S) * 1000;
}

/* false: no memory. stub is to be freed. */
static bool name_item(struct fetch *f, struct share_item *item, struct weir_span variant,
                      struct record_fields *stub)
{
    struct store_name base;

    if (!store_name_of(f->w->names, f->fill->key, &base))
        return false;
    item->name = base;
    if (variant.len == 0)
        return true;
    if (!vary_of_key(&f->vary, variant) ||
        !store_name_variant(f->w->names, &base, variant, &item->name))
        return false;
    stored_record_write_vary(stub, &f->vary);
    item->stub = record_fields_span(stub);
    return !stub->failed;
}

/* ---- what the fill knows of it ---- */

static void record_of_fill(const struct fetch *f, struct stored_record *out)
{
    const struct fill_head *h = &f->fill->head;

    *out = (struct stored_record){
        .kind = STORED_RESPONSE,
        .key = f->fill->key,
        .variant = f->fill->variant,
        .tags = f->tags.text,
        .logged = f->fill->purge.logged,
        .url = f->fill->purge.url,
        .host = f->fill->purge.host,
        .hashes = f->tags.hashes,
        .hash_count = f->tags.count,
        .status = h->status,
        .head = weir_span(h->bytes->bytes, h->bytes->len),
        .hidden_len = h->hidden_len,
        .fields = h->fields,
        .field_count = h->field_count,
        .hidden_count = h->hidden_count,
        .etag = h->etag,
        .last_modified = h->last_modified,
        .head_common = h->common,
        .coding = h->coding,
        .sent_coding = h->coding,
        .sent_len = h->length >= 0 ? (uint64_t)h->length : 0,
        .sent_len_open = h->length < 0,
        .recodable = h->recodable,
        .facts = h->facts,
    };
}

/* ---- storing as it comes ---- */

static bool may_stream(const struct fetch *f)
{
    return share_lead_fence(f->lead) > 0 &&
           share_lead_fence(f->lead) >= settings_of(f)->store_after;
}

uint64_t fetch_share_max(const struct fetch *f)
{
    uint64_t here = f->site->site->source.cache->object_max_bytes;
    uint64_t there = settings_of(f)->object_max_bytes;

    if (f->lead == NULL || there < here || !(fetch_share_streams(f) || may_stream(f)))
        return here;
    return there;
}

bool fetch_share_streams(const struct fetch *f)
{
    return f->lead != NULL && share_lead_streams(f->lead);
}

/* What is to be compressed and did not come so is, on its way. */
static unsigned stream_level(const struct fetch *f)
{
    const struct fill_head *h = &f->fill->head;
    struct recoder_settings levels;

    if (!h->recodable || h->coding != CODING_IDENTITY)
        return 0;
    negotiate_levels(f->site->site, &levels);
    return levels.level[CODING_ZSTD];
}

static void record_of_stream(const struct fetch *f, struct stored_record *out)
{
    record_of_fill(f, out);
    if (stream_level(f) > 0)
        out->coding = CODING_ZSTD;
}

static void begin_stream(struct fetch *f)
{
    struct record_fields stub = {.len = 0}, meta = {.len = 0};
    const struct fill_head *h = &f->fill->head;
    struct stored_record record;
    struct share_item item = {
        .ttl_ms = ttl_ms_of(&h->facts, h->etag.ptr != NULL || h->last_modified.ptr != NULL,
                            fetch_now_s(f)),
    };

    share_lead_mark(f->lead, f->fill->purge.url, item.ttl_ms);
    if (name_item(f, &item, f->fill->variant, &stub)) {
        record_of_stream(f, &record);
        stored_record_write(&meta, &record);
        share_lead_stream(f->lead, &item, &meta, stream_level(f));
    } else {
        share_lead_give_up(f->lead, SHARE_ALONE);
        f->lead = NULL;
    }
    record_fields_free(&stub);
    record_fields_free(&meta);
}

void fetch_share_open(struct fetch *f)
{
    const struct fill *fill = f->fill;

    if (f->lead == NULL || !fill->head.storable)
        return;
    if (fill->head.length > STREAM_BYTES &&
        (uint64_t)fill->head.length <= settings_of(f)->object_max_bytes)
        begin_stream(f);
}

static bool append(struct fetch *f, struct weir_slice s)
{
    return share_lead_append(f->lead, s);
}

bool fetch_share_data(struct fetch *f, struct weir_slice s)
{
    struct fill *fill = f->fill;

    if (f->lead == NULL || !fill->head.storable)
        return true;
    if (!share_lead_streams(f->lead)) {
        /* Of unknown length, and larger than is waited for. */
        if (!fill->retain || fill->head.length >= 0 || fill->bytes > STREAM_BYTES ||
            fill->bytes + s.len <= STREAM_BYTES)
            return true;
        begin_stream(f);
        for (size_t i = 0; f->lead != NULL && i < fill->part_count; i++)
            append(f, fill->parts[i]);
    }
    return f->lead == NULL || append(f, s);
}

void fetch_share_room(struct share_lead *l, void *arg)
{
    struct fetch *f = arg;

    (void)l;
    if (!fill_is_paused(f->fill))
        origin_fetch_resume(&f->origin);
}

/* ---- the end ---- */

static void end_stream(struct fetch *f)
{
    struct record_fields meta = {.len = 0};
    struct stored_record record;

    record_of_stream(f, &record);
    record.sent_len = f->fill->bytes;
    record.sent_len_open = false;
    stored_record_write(&meta, &record);
    share_lead_end(f->lead, &meta);
    record_fields_free(&meta);
}

static void store_whole(struct fetch *f, struct stored_response *r, bool fresh)
{
    struct record_fields stub = {.len = 0};
    struct recoder_settings levels;
    struct share_item item = {
        .ttl_ms = ttl_ms_of(&r->facts, r->etag.ptr != NULL || r->last_modified.ptr != NULL,
                            fetch_now_s(f)),
    };
    bool codes = r->forms != NULL && r->coding == CODING_IDENTITY;

    if (codes)
        negotiate_levels(f->site->site, &levels);
    share_lead_mark(f->lead, r->purge.url, item.ttl_ms);
    if (!name_item(f, &item, r->variant, &stub))
        share_lead_give_up(f->lead, SHARE_ALONE);
    else if (fresh)
        share_lead_freshen(f->lead, &item, r);
    else
        share_lead_store(f->lead, &item, r, codes ? &levels : NULL);
    record_fields_free(&stub);
}

void fetch_share_store(struct fetch *f, struct stored_response *r)
{
    if (f->lead == NULL)
        return;
    if (fetch_is_purged(f)) /* who waits asks for something newer */
        share_lead_give_up(f->lead, SHARE_LOOK);
    else if (share_lead_streams(f->lead))
        end_stream(f);
    else if (r != NULL && r->body_len <= settings_of(f)->object_max_bytes)
        store_whole(f, r, false);
    else
        share_lead_give_up(f->lead, SHARE_ALONE);
    f->lead = NULL;
}

void fetch_share_freshened(struct fetch *f, struct stored_response *r)
{
    if (f->lead == NULL)
        return;
    store_whole(f, r, true);
    f->lead = NULL;
}

void fetch_share_mark(struct fetch *f, const struct stored_response *marker)
{
    struct record_fields stub = {.len = 0}, meta = {.len = 0};
    struct share_item item = {.ttl_ms = f->site->site->source.cache->hit_for_miss_ms};
    struct stored_record record;

    if (f->lead == NULL)
        return;
    stored_record_of(&record, marker, fetch_now_s(f), net_now_ms(f->w->loop));
    stored_record_write(&meta, &record);
    if (!meta.failed && name_item(f, &item, marker->variant, &stub))
        share_lead_marker(f->lead, &item, &meta);
    else
        share_lead_give_up(f->lead, SHARE_ALONE);
    f->lead = NULL;
    record_fields_free(&stub);
    record_fields_free(&meta);
}

void fetch_share_nothing(struct fetch *f)
{
    share_lead_give_up(f->lead, f->fill->outdated ? SHARE_LOOK : SHARE_ALONE);
    f->lead = NULL;
}
