#include "limit_key.h"

#include <stdio.h>
#include <string.h>

#include "cookie.h"
#include "http_head.h"
#include "http_list.h"
#include "http_text.h"
#include "net_addr.h"

#define PART_BYTES 18 /* what a part says of itself, its bytes hashed if they are more */

/* ---- words ---- */

static bool named(struct weir_span text, struct weir_span word, struct weir_span *name)
{
    if (!weir_span_starts(text, word))
        return false;
    *name = weir_span(text.ptr + word.len, text.len - word.len);
    return true;
}

const char *limit_part_parse(struct weir_span text, struct limit_part *out)
{
    *out = (struct limit_part){.field = HTTP_F_NONE};
    if (weir_span_eq(text, WEIR_SPAN_LIT("client")))
        out->kind = LIMIT_PART_CLIENT;
    else if (weir_span_eq(text, WEIR_SPAN_LIT("route")))
        out->kind = LIMIT_PART_ROUTE;
    else if (weir_span_eq(text, WEIR_SPAN_LIT("all")))
        out->kind = LIMIT_PART_ALL;
    else if (named(text, WEIR_SPAN_LIT("field "), &out->name))
        out->kind = LIMIT_PART_FIELD;
    else if (named(text, WEIR_SPAN_LIT("cookie "), &out->name))
        out->kind = LIMIT_PART_COOKIE;
    else if (weir_span_eq(text, WEIR_SPAN_LIT("session")))
        return "weir keeps no sessions yet: \"cookie NAME\" counts by the value of a cookie";
    else
        return "expected client, \"field NAME\", \"cookie NAME\", route or all";
    if (out->name.ptr != NULL && !http_is_token(out->name))
        return "the name of a field or cookie has letters, digits and !#$%&'*+-.^_`|~ only";
    if (out->kind == LIMIT_PART_FIELD)
        out->field = http_field_intern(out->name);
    return NULL;
}

static struct weir_hash128 mixed(const struct weir_hash_secret *secret, struct weir_hash128 base,
                                 struct weir_span more)
{
    struct weir_hash128 both[2] = {base, weir_hash128(secret, more.ptr, more.len)};

    return weir_hash128(secret, both, sizeof both);
}

void limit_key_rule_init(struct limit_key_rule *r, const struct limit_settings *s,
                         const struct weir_hash_secret *secret)
{
    static const char *const usual[] = {"client"};
    const char *const *words = s->key_count > 0 ? s->key : usual;
    size_t count = s->key_count > 0 ? s->key_count : 1;
    const unsigned char prefixes[2] = {(unsigned char)s->ipv4_prefix,
                                       (unsigned char)s->ipv6_prefix};

    *r = (struct limit_key_rule){.ipv4_prefix = prefixes[0],
                                 .ipv6_prefix = prefixes[1],
                                 .missing = s->missing};
    r->base = weir_hash128(secret, s->name, strlen(s->name));
    r->base = mixed(secret, r->base, weir_span((const char *)prefixes, sizeof prefixes));
    for (size_t i = 0; i < count && r->count < LIMIT_PARTS_MAX; i++) {
        limit_part_parse(weir_span_str(words[i]), &r->parts[r->count++]);
        r->base = mixed(secret, r->base, weir_span_str(words[i]));
    }
}

/* ---- parts ---- */

/* An IPv4 address that a socket for both shows as IPv6 is the IPv4 address. */
static struct net_peer plain(const struct net_peer *p)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct net_peer out = *p;

    if (p->family == AF_INET6 && memcmp(p->ip, mapped, sizeof mapped) == 0) {
        out.family = AF_INET;
        memset(out.ip, 0, sizeof out.ip);
        memcpy(out.ip, p->ip + 12, 4);
    }
    return out;
}

static unsigned prefix_of(const struct limit_key_rule *r, const struct net_peer *p)
{
    return p->family == AF_INET ? r->ipv4_prefix : r->ipv6_prefix;
}

static struct net_peer network_of(const struct limit_key_rule *r, const struct net_peer *client)
{
    struct net_peer p = plain(client);
    unsigned bits = prefix_of(r, &p), whole = bits / 8;
    unsigned len = p.family == AF_INET ? 4 : 16;

    p.port = 0;
    if (p.family == AF_UNIX) {
        memset(p.ip, 0, sizeof p.ip);
        return p;
    }
    if (whole < len) {
        p.ip[whole] &= (uint8_t)(0xff00 >> bits % 8);
        memset(p.ip + whole + 1, 0, len - whole - 1);
    }
    return p;
}

/* The value of the one line of that name; ptr NULL if there is none, or more than one. */
static struct weir_span field_value(const struct http_head *h, const struct limit_part *part)
{
    const struct http_field *f = part->field != HTTP_F_NONE ? http_head_first(h, part->field)
                                                            : http_head_find(h, part->name);

    return f != NULL && http_head_next(h, f) == NULL ? f->value : WEIR_SPAN_NONE;
}

static struct weir_span value_of(const struct limit_part *part, const struct limit_subject *s)
{
    struct weir_span value = WEIR_SPAN_NONE;

    if (part->kind == LIMIT_PART_FIELD)
        return field_value(s->head, part);
    if (part->kind == LIMIT_PART_ROUTE)
        return s->route;
    return cookie_find(s->head, part->name, &value) ? value : WEIR_SPAN_NONE;
}

/* Writes PART_BYTES. false: it is missing. */
static bool put_part(const struct limit_key_rule *r, const struct limit_part *part,
                     const struct limit_subject *s, const struct weir_hash_secret *secret,
                     unsigned char *out)
{
    struct weir_hash128 hash;
    struct weir_span value;
    struct net_peer net;

    memset(out, 0, PART_BYTES);
    out[0] = (unsigned char)part->kind;
    if (part->kind == LIMIT_PART_ALL)
        return true;
    if (part->kind == LIMIT_PART_CLIENT) {
        net = network_of(r, s->client);
        out[1] = net.family;
        memcpy(out + 2, net.ip, sizeof net.ip);
        return true;
    }
    value = value_of(part, s);
    if (value.ptr == NULL)
        return false; /* out[1] stays 0: unlike any value, the empty one too */
    out[1] = 1;
    hash = weir_hash128(secret, value.ptr, value.len);
    memcpy(out + 2, &hash, sizeof hash);
    return true;
}

bool limit_key(const struct limit_key_rule *r, const struct limit_subject *s,
               const struct weir_hash_secret *secret, struct weir_hash128 *out)
{
    unsigned char bytes[sizeof r->base + LIMIT_PARTS_MAX * PART_BYTES];
    size_t len = sizeof r->base;

    memcpy(bytes, &r->base, sizeof r->base);
    for (unsigned i = 0; i < r->count; i++) {
        if (!put_part(r, &r->parts[i], s, secret, bytes + len) &&
            r->missing == LIMIT_MISSING_EXEMPT)
            return false;
        len += PART_BYTES;
    }
    *out = weir_hash128(secret, bytes, len);
    return true;
}

/* ---- for people ---- */

static bool secret_part(const struct limit_part *p)
{
    return p->kind == LIMIT_PART_FIELD || p->kind == LIMIT_PART_COOKIE;
}

static void put_word(struct http_text *t, const struct limit_key_rule *r,
                     const struct limit_part *part, const struct limit_subject *s)
{
    char text[NET_TEXT_MAX];
    struct net_peer net;

    if (http_text_len(t) > 0)
        http_text_lit(t, " ");
    if (part->kind == LIMIT_PART_ALL) {
        http_text_lit(t, "all");
    } else if (part->kind == LIMIT_PART_ROUTE) {
        http_text_lit(t, "route ");
        http_text_add(t, s->route);
    } else {
        net = network_of(r, s->client);
        http_text_bytes(t, text, net_peer_text(&net, text));
        if (net.family != AF_UNIX) {
            http_text_lit(t, "/");
            http_text_u64(t, prefix_of(r, &net));
        }
    }
}

const char *limit_key_text(const struct limit_key_rule *r, const struct limit_subject *s,
                           const struct weir_hash128 *key, char buf[LIMIT_KEY_TEXT_MAX])
{
    struct http_text t;
    bool hidden = false;

    http_text_init(&t, buf, LIMIT_KEY_TEXT_MAX - 1);
    for (unsigned i = 0; i < r->count; i++)
        hidden = hidden || secret_part(&r->parts[i]);
    for (unsigned i = 0; !hidden && i < r->count; i++)
        put_word(&t, r, &r->parts[i], s);
    if (hidden) {
        http_text_hex(&t, key->hi, 16);
        http_text_hex(&t, key->lo, 16);
    }
    *t.at = '\0';
    return buf;
}
