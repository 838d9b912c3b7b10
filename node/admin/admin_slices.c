#include "admin_slices.h"

#include "admin.h"
#include "net_loop.h"
#include "probe.h"
#include "purging.h"
#include "slice.h"
#include "stored.h"
#include "tier.h"
#include "vary.h"

#define SLICES_MAX   16384 /* the first so many are looked for: some milliseconds */
#define VARIANTS_MAX 32

/* What has been found so far. */
struct found {
    uint64_t complete; /* length of the whole; 0: not known */
    uint64_t stored, fresh, body_bytes, cost_bytes;
    uint64_t first, next; /* the range that grows: [first, next); empty when equal */
    json_t *ranges;
    json_t *etag; /* of the first one; owned until it is put */
};

static void close_range(struct admin_request *r, struct found *f)
{
    json_t *range;

    if (f->first == f->next)
        return;
    range = json_array();
    admin_append(r, range, json_integer((json_int_t)f->first));
    admin_append(r, range, json_integer((json_int_t)f->next - 1));
    admin_append(r, f->ranges, range);
    f->first = f->next;
}

static void count(struct admin_request *r, const struct probe *p, struct stored_response *s,
                  struct found *f)
{
    struct reuse_facts facts;
    struct slice_facts slice;

    if (s->kind != STORED_RESPONSE || !purging_reuse(p->x.w, s, &facts) ||
        !slice_read(s->fields, s->field_count, s->status, &p->x.slice, &slice))
        return;
    if (slice.range.first != f->next)
        close_range(r, f);
    if (f->first == f->next)
        f->first = slice.range.first;
    f->next = slice.range.last + 1;
    f->complete = slice.complete;
    f->stored++;
    f->fresh += reuse_check(&facts, NULL, r->source->loop->clock.wall_s).verdict == REUSE_FRESH;
    f->body_bytes += s->body_len;
    f->cost_bytes += s->cost_bytes;
    if (f->etag == NULL && s->etag.ptr != NULL)
        f->etag = admin_string(s->etag);
}

/* The newest variant that such a request gets. */
static void count_variant(struct admin_request *r, const struct probe *p,
                          const struct tier_seen *seen, size_t n, struct found *f)
{
    for (size_t i = 0; i < n; i++)
        if (seen[i].response->variant.len == 0 ||
            vary_matches(seen[i].response->variant, &p->x.req)) {
            count(r, p, seen[i].response, f);
            return;
        }
}

static bool look_at(struct admin_request *r, struct probe *p, uint64_t number, struct found *f)
{
    struct weir_err err = {0};
    struct tier_seen seen[VARIANTS_MAX];
    size_t n;

    if (!probe_slice(p, number, &err)) {
        r->failed = true;
        return false;
    }
    n = tier_list(r->source->tier, p->x.key.hash, p->x.key.bytes, seen, VARIANTS_MAX);
    count_variant(r, p, seen, n, f);
    for (size_t i = 0; i < n; i++)
        stored_response_unref(seen[i].response);
    return true;
}

static uint64_t slices_of(const struct found *f, uint64_t size)
{
    /* Until one is found nobody knows how many there are. */
    uint64_t n = f->complete == 0 ? SLICES_MAX : (f->complete - 1) / size + 1;

    return n < SLICES_MAX ? n : SLICES_MAX;
}

static json_t *found_json(struct admin_request *r, const struct probe *p, struct found *f)
{
    json_t *o = json_object();

    admin_put_text(r, o, "kind", "slices");
    admin_put_text(r, o, "scheme", p->x.target.https ? "https" : "http");
    admin_put_int(r, o, "size_bytes", (int64_t)p->x.slice.size);
    admin_put_int(r, o, "complete_bytes", (int64_t)f->complete);
    admin_put_int(r, o, "stored", (int64_t)f->stored);
    admin_put_int(r, o, "fresh", (int64_t)f->fresh);
    admin_put_int(r, o, "body_bytes", (int64_t)f->body_bytes);
    admin_put_int(r, o, "cost_bytes", (int64_t)f->cost_bytes);
    admin_put(r, o, "etag", f->etag != NULL ? f->etag : json_null());
    admin_put(r, o, "ranges", f->ranges);
    return o;
}

void admin_append_slices(struct admin_request *r, json_t *array, struct probe *p)
{
    uint64_t size = p->x.route != NULL ? p->x.route->settings->cache.slice_bytes : 0;
    struct found f = {0};

    if (size == 0 || r->source->tier == NULL)
        return;
    f.ranges = json_array();
    for (uint64_t n = 0; n < slices_of(&f, size) && look_at(r, p, n, &f); n++)
        ;
    close_range(r, &f);
    if (f.stored > 0) {
        admin_append(r, array, found_json(r, p, &f));
        return;
    }
    json_decref(f.ranges);
}
