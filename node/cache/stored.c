#include "stored.h"

#include <assert.h>
#include <malloc.h>
#include <string.h>

#include "weir/alloc.h"

#include "cache_key.h"
#include "http_head.h"

#define COMPACT_BYTES 65536 /* bodies up to here become one blob, larger ones are cut like this */

/* What one malloc keeps before each block for itself. */
#define ALLOCATOR_HEADER sizeof(size_t)

/*
 * The body, apart from the response because a freshened response shares it: it is charged
 * once, by whichever response comes first, and comes off when the last one has gone.
 */
struct stored_body {
    atomic_uint refs;
    uint32_t slice_count;
    uint64_t len;
    struct stored_charge charge;
    struct weir_slice slices[];
};

static size_t allocation_cost(void *block)
{
    return malloc_usable_size(block) + ALLOCATOR_HEADER;
}

/* ---- account ---- */

struct stored_account *stored_account_new(size_t limit_bytes, struct weir_err *err)
{
    struct stored_account *a = weir_malloc(sizeof(*a));

    if (a == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "stored: account", 0);
        return NULL;
    }
    atomic_init(&a->refs, 1);
    atomic_init(&a->bytes, 0);
    atomic_init(&a->limit_bytes, limit_bytes);
    return a;
}

struct stored_account *stored_account_ref(struct stored_account *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void stored_account_unref(struct stored_account *a)
{
    if (a != NULL && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1)
        weir_free(a);
}

/* Compare and swap rather than add and look: no other thread may ever see more than the limit. */
static bool account_reserve(struct stored_account *a, size_t n)
{
    size_t limit = atomic_load_explicit(&a->limit_bytes, memory_order_relaxed);
    size_t now = atomic_load_explicit(&a->bytes, memory_order_relaxed);

    do {
        if (n > limit || now > limit - n)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&a->bytes, &now, now + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void account_release(struct stored_account *a, size_t n)
{
    atomic_fetch_sub_explicit(&a->bytes, n, memory_order_relaxed);
}

static size_t charge_due(const struct stored_charge *c)
{
    return atomic_load_explicit(&c->account, memory_order_acquire) == NULL ? c->bytes : 0;
}

/* `due` bytes are reserved. Another thread may have charged the same body meanwhile. */
static void charge_claim(struct stored_charge *c, struct stored_account *a, size_t due)
{
    struct stored_account *none = NULL;

    if (due == 0)
        return;
    stored_account_ref(a);
    if (atomic_compare_exchange_strong_explicit(&c->account, &none, a, memory_order_acq_rel,
                                                memory_order_acquire))
        return;
    assert(none == a); /* one account per response */
    account_release(a, due);
    stored_account_unref(a);
}

static void charge_drop(struct stored_charge *c)
{
    struct stored_account *a = atomic_load_explicit(&c->account, memory_order_acquire);

    if (a == NULL)
        return;
    account_release(a, c->bytes);
    stored_account_unref(a);
}

static bool charge_both(struct stored_charge *own, struct stored_body *body,
                        struct stored_account *a)
{
    size_t own_due = charge_due(own);
    size_t body_due = body != NULL ? charge_due(&body->charge) : 0;

    if (own_due + body_due == 0)
        return true;
    if (!account_reserve(a, own_due + body_due))
        return false;
    charge_claim(own, a, own_due);
    if (body != NULL) /* the analyzer takes the count to be one whenever it falls */
        charge_claim(&body->charge, a, body_due); /* NOLINT(clang-analyzer-unix.Malloc) */
    return true;
}

bool stored_response_charge(struct stored_response *r, struct stored_account *a)
{
    return charge_both(&r->charge, r->body, a);
}

bool stored_form_charge(struct stored_form *f, struct stored_account *a)
{
    return charge_both(&f->charge, f->body, a);
}

size_t stored_form_uncharged(const struct stored_form *f)
{
    return charge_due(&f->charge) + (f->body != NULL ? charge_due(&f->body->charge) : 0);
}

size_t stored_response_uncharged(const struct stored_response *r)
{
    return charge_due(&r->charge) + (r->body != NULL ? charge_due(&r->body->charge) : 0);
}

/* ---- body ---- */

static struct stored_body *body_alloc(size_t slices)
{
    struct stored_body *b = weir_malloc(sizeof(*b) + slices * sizeof(b->slices[0]));

    if (b == NULL)
        return NULL;
    atomic_init(&b->refs, 1);
    b->slice_count = 0;
    b->len = 0;
    atomic_init(&b->charge.account, NULL);
    b->charge.bytes = allocation_cost(b);
    return b;
}

static struct stored_body *body_ref(struct stored_body *b)
{
    if (b != NULL)
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

static void body_unref(struct stored_body *b)
{
    if (b == NULL || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < b->slice_count; i++)
        weir_blob_unref(b->slices[i].blob);
    charge_drop(&b->charge);
    weir_free(b);
}

/* Appends a slice, taking its reference; a blob that lies in neighbouring slices costs once. */
static void body_append(struct stored_body *b, struct weir_slice s)
{
    struct weir_slice *last = b->slice_count > 0 ? &b->slices[b->slice_count - 1] : NULL;

    b->len += s.len;
    if (last != NULL && last->blob == s.blob && last->off + last->len == s.off) {
        last->len += s.len;
        weir_blob_unref(s.blob);
        return;
    }
    if (last == NULL || last->blob != s.blob)
        b->charge.bytes += weir_blob_cost(s.blob);
    b->slices[b->slice_count++] = s;
}

static struct stored_body *body_share(const struct weir_slice *slices, size_t count)
{
    struct stored_body *b = body_alloc(count);

    if (b == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct weir_slice s = slices[i];

        if (s.len == 0)
            continue;
        weir_blob_ref(s.blob);
        body_append(b, s);
    }
    return b;
}

/* Is it better copied than kept as it came? A small body in one piece is one write vector later. */
static bool body_wasteful(const struct stored_body *b)
{
    bool full = b->len >= b->charge.bytes / 4 * 3;

    return !full || (b->len <= COMPACT_BYTES && b->slice_count > 1);
}

/* Most of what its blob holds is other bytes, as in a record from the farm's store. */
static bool much_else(const struct weir_slice *s)
{
    return s->len < weir_blob_cost(s->blob) / 4 * 3;
}

/* Takes bytes from the front of *from into a new blob of exactly `size`; NULL without memory. */
static struct weir_blob *blob_gather(const struct weir_slice **from, size_t *off, size_t size)
{
    struct weir_blob *blob = weir_blob_new(size);

    while (blob != NULL && blob->len < size) {
        size_t n = (*from)->len - *off;

        if (n > size - blob->len)
            n = size - blob->len;
        memcpy(blob->bytes + blob->len, weir_slice_ptr(**from) + *off, n);
        blob->len += (uint32_t)n;
        *off += n;
        if (*off == (*from)->len) {
            (*from)++;
            *off = 0;
        }
    }
    return blob;
}

static struct stored_body *body_compact(const struct weir_slice *from, uint64_t len)
{
    size_t pieces = (size_t)((len + COMPACT_BYTES - 1) / COMPACT_BYTES), off = 0;
    struct stored_body *b = body_alloc(pieces);

    while (b != NULL && b->len < len) {
        uint64_t rest = len - b->len;
        struct weir_blob *blob =
            blob_gather(&from, &off, rest < COMPACT_BYTES ? (size_t)rest : COMPACT_BYTES);

        if (blob == NULL) {
            body_unref(b);
            return NULL;
        }
        body_append(b, (struct weir_slice){blob, 0, blob->len});
    }
    return b;
}

/* Shares or copies; *out is NULL for an empty body, which needs none; false without memory. */
static bool body_new(const struct weir_slice *slices, size_t count, struct stored_body **out)
{
    struct stored_body *shared, *compact;

    *out = NULL;
    if (count == 0)
        return true;
    if (count == 1 && slices[0].len > 0 && much_else(&slices[0])) {
        *out = body_compact(slices, slices[0].len);
        return *out != NULL;
    }
    shared = body_share(slices, count);
    if (shared == NULL)
        return false;
    if (shared->len == 0) {
        body_unref(shared);
        return true;
    }
    if (!body_wasteful(shared)) {
        *out = shared;
        return true;
    }
    compact = body_compact(shared->slices, shared->len);
    body_unref(shared);
    *out = compact;
    return compact != NULL;
}

/* ---- forms ---- */

struct stored_form *stored_form_new(enum coding c, const struct weir_slice *slices, size_t count,
                                    struct weir_err *err)
{
    struct stored_form *f = weir_calloc(1, sizeof(*f));

    if (f == NULL || !body_new(slices, count, &f->body)) {
        weir_free(f);
        weir_fail(err, WEIR_E_MEMORY, "stored: form", 0);
        return NULL;
    }
    atomic_init(&f->refs, 1);
    atomic_init(&f->charge.account, NULL);
    f->coding = c;
    if (f->body != NULL) {
        f->slices = f->body->slices;
        f->slice_count = f->body->slice_count;
        f->len = f->body->len;
    }
    f->charge.bytes = allocation_cost(f);
    f->cost_bytes = f->charge.bytes + (f->body != NULL ? f->body->charge.bytes : 0);
    return f;
}

struct stored_form *stored_form_ref(struct stored_form *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void stored_form_unref(struct stored_form *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    body_unref(f->body);
    charge_drop(&f->charge);
    weir_free(f);
}

struct stored_form *stored_form_take(const struct stored_response *r, enum coding c)
{
    struct stored_form *f = r->forms != NULL ? r->forms->form[c] : NULL;

    if (f == NULL)
        return NULL;
    if (!f->used) /* else the line stays shared by all who send it */
        f->used = true;
    return stored_form_ref(f);
}

static struct stored_forms *forms_new(void)
{
    struct stored_forms *forms = weir_calloc(1, sizeof(*forms));

    if (forms != NULL)
        atomic_init(&forms->refs, 1);
    return forms;
}

static struct stored_forms *forms_ref(struct stored_forms *forms)
{
    if (forms != NULL)
        atomic_fetch_add_explicit(&forms->refs, 1, memory_order_relaxed);
    return forms;
}

static void forms_unref(struct stored_forms *forms)
{
    if (forms == NULL || atomic_fetch_sub_explicit(&forms->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int c = 0; c < CODINGS; c++)
        stored_form_unref(forms->form[c]);
    weir_free(forms);
}

/* ---- response ---- */

static struct weir_span copy_span(char **at, struct weir_span s)
{
    struct weir_span copy = {*at, s.len};

    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

/* The same bytes in the copy of the head. */
static struct weir_span move_span(struct weir_span s, struct weir_span from, const char *to)
{
    if (s.ptr == NULL)
        return WEIR_SPAN_NONE;
    assert(s.ptr >= from.ptr && s.ptr + s.len <= from.ptr + from.len);
    return weir_span(to + (s.ptr - from.ptr), s.len);
}

static bool copy_head(struct stored_response *r, struct http_field *fields,
                      const struct stored_draft *d)
{
    struct weir_span all = {d->head.ptr, d->head.len + d->hidden_len};

    r->head = weir_blob_new(all.len);
    if (r->head == NULL)
        return false;
    if (all.len > 0)
        memcpy(r->head->bytes, all.ptr, all.len);
    r->head->len = (uint32_t)d->head.len; /* what is hidden lies behind it */
    r->ranges_unsaid = true;
    for (size_t i = 0; i < d->field_count + d->hidden_count; i++) {
        if (d->fields[i].id == HTTP_F_ACCEPT_RANGES)
            r->ranges_unsaid = false;
        fields[i] = d->fields[i];
        fields[i].name = move_span(d->fields[i].name, all, r->head->bytes);
        fields[i].value = move_span(d->fields[i].value, all, r->head->bytes);
    }
    r->fields = fields;
    r->field_count = (uint32_t)d->field_count;
    r->hidden_count = (uint32_t)d->hidden_count;
    r->etag = move_span(d->etag, d->head, r->head->bytes);
    r->last_modified = move_span(d->last_modified, d->head, r->head->bytes);
    r->head_common = d->head_common;
    r->status = d->status;
    r->facts = d->facts;
    r->charge.bytes += weir_blob_cost(r->head);
    return true;
}

/* What lies below a head. Both may be NULL. */
struct content {
    struct stored_body *body;
    struct stored_forms *forms;
};

static void content_unref(struct content c)
{
    body_unref(c.body);
    forms_unref(c.forms);
}

static bool lies_in(struct weir_span part, struct weir_span whole)
{
    return part.ptr != NULL && part.ptr >= whole.ptr &&
           part.ptr + part.len <= whole.ptr + whole.len;
}

/* hashes: room for those of the tags. */
static void copy_purge(struct stored_response *r, const struct stored_draft *d, uint64_t *hashes)
{
    struct cache_key_parts parts;

    if (d->purge == NULL)
        return;
    if (d->purge->tag_count > 0)
        memcpy(hashes, d->purge->tags, d->purge->tag_count * sizeof *hashes);
    r->purge.stamp = d->purge->stamp;
    r->purge.logged = d->purge->logged;
    r->purge.url = d->purge->url;
    r->purge.host = d->purge->host;
    r->purge.tags = hashes;
    r->purge.tag_count = d->purge->tag_count;
    if (lies_in(d->purge->path, d->key)) /* it was found there once: not looked for again */
        r->purge.path =
            weir_span(r->key.ptr + (d->purge->path.ptr - d->key.ptr), d->purge->path.len);
    else if (cache_key_read(r->key, &parts))
        r->purge.path = parts.path;
    r->purges = d->purges;
    if (r->purges != NULL)
        purge_watch(r->purges, r->purge.url);
}

/* Each head bears the cost of the forms' table: which of them goes last nobody knows. */
static void adopt_content(struct stored_response *r, struct content c)
{
    r->forms = c.forms;
    if (c.forms != NULL)
        r->charge.bytes += allocation_cost(c.forms);
    if (c.body == NULL)
        return;
    r->body = c.body;
    r->slices = c.body->slices;
    r->slice_count = c.body->slice_count;
    r->body_len = r->sent_len = c.body->len;
}

/* One block: the struct, its fields, hashes of its tags, then the bytes of key, vary, variant and
 * tags. Takes the content. */
static struct stored_response *make(enum stored_kind kind, const struct stored_draft *d,
                                    struct content content, struct weir_err *err)
{
    size_t rows = d->field_count + d->hidden_count;
    size_t table = kind == STORED_RESPONSE ? rows * sizeof(struct http_field) : 0;
    size_t hashes = d->purge != NULL ? d->purge->tag_count * sizeof(uint64_t) : 0;
    size_t names = d->key.len + d->vary.len + d->variant.len + d->tags.len;
    struct stored_response *r = weir_malloc(sizeof(*r) + table + hashes + names);
    char *at;

    if (r == NULL) {
        content_unref(content);
        weir_fail(err, WEIR_E_MEMORY, "stored: response", 0);
        return NULL;
    }
    memset(r, 0, sizeof(*r));
    atomic_init(&r->refs, 1);
    atomic_init(&r->charge.account, NULL);
    r->kind = kind;
    r->hash = d->hash;
    r->charge.bytes = allocation_cost(r) + STORED_INDEX_BYTES;
    at = (char *)(r + 1) + table + hashes;
    r->key = copy_span(&at, d->key);
    r->vary = copy_span(&at, d->vary);
    r->variant = copy_span(&at, d->variant);
    r->tags = copy_span(&at, d->tags);
    copy_purge(r, d, (uint64_t *)((char *)(r + 1) + table));
    r->coding = r->sent_coding = d->coding;
    adopt_content(r, content);
    if (kind == STORED_RESPONSE && !copy_head(r, (struct http_field *)(r + 1), d)) {
        stored_response_unref(r);
        weir_fail(err, WEIR_E_MEMORY, "stored: head", 0);
        return NULL;
    }
    r->cost_bytes = r->charge.bytes + (r->body != NULL ? r->body->charge.bytes : 0);
    return r;
}

struct stored_response *stored_response_new(const struct stored_draft *d, struct weir_err *err)
{
    struct content content = {NULL, NULL};
    bool ok = body_new(d->slices, d->slice_count, &content.body);

    if (ok && d->recodable) {
        content.forms = forms_new();
        ok = content.forms != NULL;
    }
    if (!ok) {
        content_unref(content);
        weir_fail(err, WEIR_E_MEMORY, "stored: body", 0);
        return NULL;
    }
    return make(STORED_RESPONSE, d, content, err);
}

struct stored_response *stored_response_restored(const struct stored_draft *d,
                                                 const struct stored_sent *sent,
                                                 struct weir_err *err)
{
    struct stored_response *r = stored_response_new(d, err);

    if (r == NULL)
        return NULL;
    r->sent_coding = sent->coding;
    r->sent_len = sent->len;
    r->as_sent_only = sent->only;
    return r;
}

struct stored_response *stored_response_freshened(const struct stored_response *old,
                                                  const struct stored_draft *d,
                                                  struct weir_err *err)
{
    struct stored_draft merged = *d;
    struct stored_response *r;

    assert(old->kind == STORED_RESPONSE);
    merged.hash = old->hash;
    merged.key = old->key;
    merged.status = old->status;
    r = make(STORED_RESPONSE, &merged, (struct content){body_ref(old->body), forms_ref(old->forms)},
             err);
    if (r == NULL)
        return NULL;
    r->coding = old->coding;
    r->sent_coding = old->sent_coding;
    r->sent_len = old->sent_len;
    r->as_sent_only = !d->recodable;
    return r;
}

size_t stored_hidden_len(const struct stored_response *r)
{
    const struct http_field *last;

    if (r->hidden_count == 0)
        return 0;
    last = &r->fields[r->field_count + r->hidden_count - 1];
    return (size_t)(last->value.ptr + last->value.len + 2 - (r->head->bytes + r->head->len));
}

struct stored_response *stored_response_recoded(const struct stored_response *old,
                                                const struct stored_form *f, struct weir_err *err)
{
    const struct stored_draft d = {
        .hash = old->hash,
        .key = old->key,
        .vary = old->vary,
        .variant = old->variant,
        .status = old->status,
        .head = weir_span(old->head->bytes, old->head->len),
        .fields = old->fields,
        .field_count = old->field_count,
        .etag = old->etag,
        .last_modified = old->last_modified,
        .head_common = old->head_common,
        .coding = old->sent_coding,
        .facts = old->facts,
        .hidden_len = stored_hidden_len(old),
        .hidden_count = old->hidden_count,
        .tags = old->tags,
        .purge = old->purges != NULL ? &old->purge : NULL,
        .purges = old->purges,
    };
    struct stored_response *r =
        make(STORED_RESPONSE, &d, (struct content){body_ref(f->body), forms_ref(old->forms)}, err);

    assert(old->forms != NULL);
    if (r == NULL)
        return NULL;
    r->coding = f->coding;
    r->sent_len = old->sent_len;
    r->as_sent_only = old->as_sent_only;
    return r;
}

struct stored_response *stored_marker_new(const struct stored_draft *d, int64_t until_ms,
                                          struct weir_err *err)
{
    struct stored_response *r = make(STORED_MARKER, d, (struct content){NULL, NULL}, err);

    if (r != NULL) {
        r->marker_until_ms = until_ms;
        r->why = d->why;
    }
    return r;
}

struct stored_response *stored_response_ref(struct stored_response *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void stored_response_unref(struct stored_response *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (r->purges != NULL)
        purge_unwatch(r->purges, r->purge.url);
    body_unref(r->body);
    forms_unref(r->forms);
    weir_blob_unref(r->head);
    charge_drop(&r->charge);
    weir_free(r);
}
