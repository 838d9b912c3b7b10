#include "acme_record.h"

#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/record.h"

#define FIELD_MADE  0x0500
#define FIELD_CHAIN 0x0501
#define FIELD_KEY   0x0502
#define TITLE       "weir acme 1 "

void acme_held_clear(struct acme_held *h)
{
    if (h->key != NULL)
        explicit_bzero(h->key, strlen(h->key));
    weir_free(h->key);
    weir_free(h->chain);
    *h = (struct acme_held){.made_ms = 0};
}

static bool is_id(struct weir_span id)
{
    if (id.len == 0 || id.len >= ACME_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* PEM is text. */
static bool is_text(struct weir_span s)
{
    return s.len <= ACME_PEM_MAX && (s.len == 0 || memchr(s.ptr, '\0', s.len) == NULL);
}

bool acme_held_set(struct acme_held *h, const char *id, int64_t made_ms, struct weir_span chain,
                   struct weir_span key)
{
    *h = (struct acme_held){.made_ms = made_ms};
    if (!is_id(weir_span_str(id)) || !is_text(chain) || !is_text(key))
        return false;
    strcpy(h->id, id);
    h->chain = weir_strndup(chain.len > 0 ? chain.ptr : "", chain.len);
    h->key = weir_strndup(key.len > 0 ? key.ptr : "", key.len);
    if (h->chain != NULL && h->key != NULL)
        return true;
    acme_held_clear(h);
    return false;
}

/* ---- records ---- */

static void cleanse(struct record_fields *fs)
{
    if (fs->ptr != NULL)
        explicit_bzero(fs->ptr, fs->cap);
    record_fields_free(fs);
}

static struct weir_span copy(struct weir_span bytes)
{
    char *out = weir_malloc(bytes.len + 1);

    if (out == NULL)
        return WEIR_SPAN_NONE;
    memcpy(out, bytes.ptr, bytes.len);
    return weir_span(out, bytes.len);
}

static struct weir_span wrap(const struct weir_wrap_key *k, const char *id, struct weir_span bytes)
{
    char *out = weir_malloc(bytes.len + WEIR_WRAP_BYTES);

    if (out != NULL && weir_wrap(k, "acme", weir_span_str(id), bytes, out, NULL))
        return weir_span(out, bytes.len + WEIR_WRAP_BYTES);
    weir_free(out);
    return WEIR_SPAN_NONE;
}

struct weir_span acme_record_write(const struct weir_wrap_key *k, const struct acme_held *h)
{
    struct record_fields fs = {0};
    struct weir_span out = WEIR_SPAN_NONE;

    record_add_u64(&fs, FIELD_MADE | RECORD_CRITICAL, (uint64_t)h->made_ms);
    record_add(&fs, FIELD_CHAIN | RECORD_CRITICAL, weir_span_str(h->chain));
    record_add(&fs, FIELD_KEY | RECORD_CRITICAL, weir_span_str(h->key));
    if (!fs.failed)
        out = k != NULL ? wrap(k, h->id, record_fields_span(&fs)) : copy(record_fields_span(&fs));
    cleanse(&fs);
    return out;
}

static bool read_fields(struct weir_span id, struct weir_span bytes, struct acme_held *out)
{
    struct weir_span chain = WEIR_SPAN_NONE, key = WEIR_SPAN_NONE;
    char name[ACME_ID_MAX];
    struct record_field f;
    uint64_t made = 0;

    while (record_next(&bytes, &f)) {
        if (f.type == FIELD_MADE) {
            if (!record_u64(&f, &made))
                return false;
        } else if (f.type == FIELD_CHAIN) {
            chain = f.bytes;
        } else if (f.type == FIELD_KEY) {
            key = f.bytes;
        } else if (f.critical) {
            return false;
        }
    }
    if (bytes.len > 0 || made == 0 || made > INT64_MAX || key.len == 0 || !is_id(id))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)id.len, id.ptr);
    return acme_held_set(out, name, (int64_t)made, chain, key);
}

bool acme_record_read(const struct weir_wrap_key *k, struct weir_span id, struct weir_span bytes,
                      struct acme_held *out)
{
    size_t len;
    char *open;
    bool ok;

    *out = (struct acme_held){.made_ms = 0};
    if (k == NULL)
        return bytes.len <= ACME_RECORD_MAX && read_fields(id, bytes, out);
    if (bytes.len <= WEIR_WRAP_BYTES || bytes.len > ACME_RECORD_MAX + WEIR_WRAP_BYTES)
        return false;
    len = bytes.len - WEIR_WRAP_BYTES;
    open = weir_malloc(len);
    ok = open != NULL && weir_wrap_open(k, "acme", id, bytes, open) &&
         read_fields(id, weir_span(open, len), out);
    if (open != NULL)
        explicit_bzero(open, len);
    weir_free(open);
    return ok;
}

/* ---- the file ---- */

static const char *title(const struct weir_wrap_key *k)
{
    return k != NULL ? TITLE "wrapped\n" : TITLE "plain\n";
}

static char *put_hex(char *out, struct weir_span bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.len; i++) {
        *out++ = digits[(unsigned char)bytes.ptr[i] >> 4];
        *out++ = digits[(unsigned char)bytes.ptr[i] & 15];
    }
    return out;
}

static size_t most(const struct acme_held *h)
{
    return strlen(h->chain) + strlen(h->key) + 64 + WEIR_WRAP_BYTES;
}

/* Returns where it ends; NULL without memory. */
static char *put_line(char *out, const struct weir_wrap_key *k, const struct acme_held *h)
{
    struct weir_span bytes = acme_record_write(k, h);
    char *mine = (char *)(uintptr_t)bytes.ptr;

    if (mine == NULL)
        return NULL;
    out = stpcpy(out, h->id);
    *out++ = ' ';
    out = put_hex(out, bytes);
    *out++ = '\n';
    explicit_bzero(mine, bytes.len);
    weir_free(mine);
    return out;
}

char *acme_file_text(const struct weir_wrap_key *k, const struct acme_held *const *list,
                     size_t count, size_t *len)
{
    size_t room = sizeof TITLE + 16;
    char *text, *end;

    for (size_t i = 0; i < count; i++)
        room += ACME_ID_MAX + 2 + 2 * most(list[i]);
    text = weir_malloc(room);
    if (text == NULL)
        return NULL;
    end = stpcpy(text, title(k));
    for (size_t i = 0; i < count; i++) {
        end = put_line(end, k, list[i]);
        if (end == NULL) {
            explicit_bzero(text, room);
            weir_free(text);
            return NULL;
        }
    }
    *len = (size_t)(end - text);
    return text;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct weir_span hex, char *out)
{
    if (hex.len % 2 != 0)
        return false;
    for (size_t i = 0; i < hex.len / 2; i++) {
        int high = digit(hex.ptr[2 * i]), low = digit(hex.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (char)(high << 4 | low);
    }
    return true;
}

static bool read_line(const struct weir_wrap_key *k, struct weir_span line, struct acme_held *out)
{
    const char *space = line.len > 0 ? memchr(line.ptr, ' ', line.len) : NULL;
    struct weir_span hex;
    size_t id;
    char *bytes;
    bool ok;

    if (space == NULL)
        return false;
    id = (size_t)(space - line.ptr);
    hex = weir_span(space + 1, line.len - id - 1);
    bytes = weir_malloc(hex.len / 2 + 1);
    ok = bytes != NULL && read_hex(hex, bytes) &&
         acme_record_read(k, weir_span(line.ptr, id), weir_span(bytes, hex.len / 2), out);
    if (bytes != NULL)
        explicit_bzero(bytes, hex.len / 2 + 1);
    weir_free(bytes);
    return ok;
}

bool acme_file_read(const struct weir_wrap_key *k, struct weir_span text,
                    void (*found)(void *arg, struct acme_held *h), void *arg)
{
    struct weir_span first = weir_span_str(title(k));
    struct acme_held h;

    if (!weir_span_starts(text, first))
        return false;
    text = weir_span(text.ptr + first.len, text.len - first.len);
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : 0;

        if (end == NULL || !read_line(k, weir_span(text.ptr, len), &h))
            return false;
        found(arg, &h);
        acme_held_clear(&h);
        text = weir_span(end + 1, text.len - len - 1);
    }
    return true;
}
