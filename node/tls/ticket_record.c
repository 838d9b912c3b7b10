#include "ticket_record.h"

#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "tls_tickets.h"

#define MAGIC     "WTK1"
#define TITLE     "weir session ticket keys 1 "
#define LINE_MAX_ (TICKET_ID_MAX + 2 * TICKET_WRAPPED_BYTES + 2)

_Static_assert(sizeof(struct ticket_key) == 80, "written as it lies in memory");
_Static_assert(sizeof TITLE + 16 + TICKET_KEYS_MAX * LINE_MAX_ <= TICKET_FILE_MAX, "all fit");

/* ---- ids ---- */

struct weir_span ticket_id(const struct ticket_held *h, char out[TICKET_ID_MAX])
{
    int len = snprintf(out, TICKET_ID_MAX, "%llu.%llu", (unsigned long long)h->rotation_ms,
                       (unsigned long long)h->period);

    return weir_span(out, (size_t)len);
}

/* So many periods that their number times their length is an instant. */
static bool sensible(uint64_t rotation_ms, uint64_t period)
{
    return rotation_ms >= TLS_TICKETS_ROTATION_MIN_MS &&
           rotation_ms <= TLS_TICKETS_ROTATION_MAX_MS && period < (uint64_t)1 << 32;
}

/* ---- records ---- */

static void put_u64(char *out, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (char)(n >> 8 * i & 0xff);
}

static uint64_t get_u64(const char *p)
{
    uint64_t n = 0;

    for (int i = 0; i < 8; i++)
        n |= (uint64_t)(unsigned char)p[i] << 8 * i;
    return n;
}

static void write_record(const struct ticket_held *h, char out[TICKET_RECORD_BYTES])
{
    memcpy(out, MAGIC, 4);
    put_u64(out + 4, (uint64_t)h->rotation_ms);
    put_u64(out + 12, h->period);
    memcpy(out + 20, &h->key, sizeof h->key);
}

static bool read_record(const char in[TICKET_RECORD_BYTES], struct weir_span id,
                        struct ticket_held *out)
{
    uint64_t rotation = get_u64(in + 4), period = get_u64(in + 12);
    char said[TICKET_ID_MAX];

    if (memcmp(in, MAGIC, 4) != 0 || !sensible(rotation, period))
        return false;
    *out = (struct ticket_held){.kind = TICKET_STORED,
                                .rotation_ms = (int64_t)rotation,
                                .period = period};
    memcpy(&out->key, in + 20, sizeof out->key);
    return weir_span_eq(ticket_id(out, said), id);
}

bool ticket_wrap(const struct weir_wrap_key *k, const struct ticket_held *h,
                 char out[TICKET_WRAPPED_BYTES], struct weir_err *err)
{
    char record[TICKET_RECORD_BYTES], id[TICKET_ID_MAX];
    bool ok;

    write_record(h, record);
    ok = weir_wrap(k, "ticket", ticket_id(h, id), weir_span(record, sizeof record), out, err);
    explicit_bzero(record, sizeof record);
    return ok;
}

bool ticket_open(const struct weir_wrap_key *k, struct weir_span id, struct weir_span wrapped,
                 struct ticket_held *out)
{
    char record[TICKET_RECORD_BYTES];
    bool ok;

    if (wrapped.len != TICKET_WRAPPED_BYTES)
        return false;
    ok = weir_wrap_open(k, "ticket", id, wrapped, record) && read_record(record, id, out);
    explicit_bzero(record, sizeof record);
    return ok;
}

/* ---- the file ---- */

static const char *flavour(const struct weir_wrap_key *k)
{
    return k != NULL ? TITLE "wrapped\n" : TITLE "plain\n";
}

static char *write_hex(char *out, const char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[(unsigned char)bytes[i] >> 4];
        *out++ = digits[(unsigned char)bytes[i] & 15];
    }
    return out;
}

/* Returns where it ends. */
static char *write_line(char *out, const struct ticket_held *h, const struct weir_wrap_key *k)
{
    char bytes[TICKET_WRAPPED_BYTES];
    size_t len = TICKET_RECORD_BYTES;
    char *end = out;

    if (k == NULL)
        write_record(h, bytes);
    else if (ticket_wrap(k, h, bytes, NULL))
        len = TICKET_WRAPPED_BYTES;
    else
        return out; /* one key less is kept */
    end += ticket_id(h, out).len;
    *end++ = ' ';
    end = write_hex(end, bytes, len);
    *end++ = '\n';
    explicit_bzero(bytes, sizeof bytes);
    return end;
}

char *ticket_file_text(const struct ticket_ring *r, const struct weir_wrap_key *k, size_t *len)
{
    char *text = weir_malloc(TICKET_FILE_MAX), *end;

    if (text == NULL)
        return NULL;
    end = stpcpy(text, flavour(k));
    for (size_t i = 0; i < r->count; i++)
        if (r->held[i].kind == TICKET_STORED)
            end = write_line(end, &r->held[i], k);
    *len = (size_t)(end - text);
    return text;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct weir_span hex, char *out, size_t len)
{
    if (hex.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = digit(hex.ptr[2 * i]), low = digit(hex.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (char)(high << 4 | low);
    }
    return true;
}

static bool read_line(struct weir_span line, const struct weir_wrap_key *k, struct ticket_held *out)
{
    const char *space = line.len > 0 ? memchr(line.ptr, ' ', line.len) : NULL;
    size_t size = k != NULL ? TICKET_WRAPPED_BYTES : TICKET_RECORD_BYTES;
    char bytes[TICKET_WRAPPED_BYTES];
    struct weir_span id, hex;
    bool ok;

    if (space == NULL)
        return false;
    id = weir_span(line.ptr, (size_t)(space - line.ptr));
    hex = weir_span(space + 1, line.len - id.len - 1);
    ok = read_hex(hex, bytes, size) && (k != NULL ? ticket_open(k, id, weir_span(bytes, size), out)
                                                  : read_record(bytes, id, out));
    explicit_bzero(bytes, sizeof bytes);
    return ok;
}

bool ticket_file_read(struct weir_span text, const struct weir_wrap_key *k, struct ticket_ring *r,
                      int64_t now_ms)
{
    struct weir_span title = weir_span_str(flavour(k));
    struct ticket_held h;
    bool ok = weir_span_starts(text, title), changed;

    if (ok)
        text = weir_span(text.ptr + title.len, text.len - title.len);
    while (ok && text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;

        ok = end != NULL && read_line(weir_span(text.ptr, len), k, &h);
        if (ok)
            ticket_ring_put(r, &h, now_ms, &changed);
        if (ok)
            text = weir_span(end + 1, text.len - len - 1);
    }
    explicit_bzero(&h, sizeof h);
    return ok;
}
