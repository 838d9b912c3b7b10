#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "weir/alloc.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "admin_slices.h"
#include "http_head.h"
#include "net_loop.h"
#include "probe.h"
#include "purge.h"
#include "purging.h"
#include "stored.h"
#include "tags.h"
#include "tier.h"
#include "vary.h"

#define SEEN_MAX 1024 /* variants of one key that are shown */

/* ---- the request that is asked about ---- */

/* "Name: value" into *f; false if it is no field. */
static bool parse_field(const char *text, struct http_field *f)
{
    const char *colon = strchr(text, ':');

    if (colon == NULL || colon == text)
        return false;
    f->name = weir_span(text, (size_t)(colon - text));
    f->value = weir_span_trim(weir_span_str(colon + 1));
    return true;
}

/* The parameters called `field`; false after a refusal. */
static bool gather_fields(struct admin_request *r, struct http_field *out, size_t *count)
{
    struct evkeyval *p;

    *count = 0;
    TAILQ_FOREACH(p, &r->query, next)
    {
        if (strcmp(p->key, "field") != 0)
            continue;
        if (*count == PROBE_FIELDS_MAX || !parse_field(p->value, &out[*count])) {
            admin_refuse(r, 400, "a field must look like \"Name: value\", and there may be %d",
                         PROBE_FIELDS_MAX);
            return false;
        }
        ++*count;
    }
    return true;
}

static struct probe *make_probe(struct admin_request *r)
{
    const char *url = admin_query(r, "url");
    struct http_field fields[PROBE_FIELDS_MAX];
    struct probe_place place = admin_probe_place(r);
    struct weir_err err = {0};
    struct probe *p;
    size_t count;

    if (url == NULL) {
        admin_refuse(r, 400, "expected a parameter url=http://host/path");
        return NULL;
    }
    if (!gather_fields(r, fields, &count))
        return NULL;
    p = probe_new(&place, weir_span_str(url), fields, count, &err);
    if (p == NULL)
        admin_refuse(r, err.code == WEIR_E_MEMORY ? 503 : 400, "%s: %s", weir_code_text(err.code),
                     err.detail);
    return p;
}

/* ---- what is known of the route ---- */

static void put_words(struct admin_request *r, json_t *o, const char *name, const char **words,
                      size_t count)
{
    json_t *a = admin_put_array(r, o, name);

    for (size_t i = 0; i < count; i++)
        admin_append(r, a, admin_string(weir_span_str(words[i])));
}

static void put_key_rules(struct admin_request *r, json_t *route,
                          const struct cache_key_settings *k)
{
    static const char *const query[] = {[KEY_QUERY_ALL] = "all",
                                        [KEY_QUERY_NONE] = "none",
                                        [KEY_QUERY_ONLY] = "only",
                                        [KEY_QUERY_EXCEPT] = "except"};
    json_t *o = admin_put_object(r, route, "key");

    admin_put_text(r, o, "query", query[k->query]);
    put_words(r, o, "parameters", k->parameters, k->parameter_count);
    admin_put_bool(r, o, "sort", k->sort);
    admin_put_text(r, o, "host", k->host);
    put_words(r, o, "cookies", k->cookies, k->cookie_count);
    put_words(r, o, "fields", k->fields, k->field_count);
}

static void put_route(struct admin_request *r, json_t *out, const struct route *route)
{
    json_t *o;

    if (route == NULL) {
        admin_put(r, out, "route", json_null());
        return;
    }
    o = admin_put_object(r, out, "route");
    admin_put_text(r, o, "name", route->settings->name);
    admin_put_bool(r, o, "caches",
                   route->action == ROUTE_UPSTREAM && route->settings->cache.enabled);
    put_key_rules(r, o, &route->settings->cache.key);
}

/* ---- what is stored ---- */

static void put_variant(struct admin_request *r, json_t *o, struct weir_span key)
{
    json_t *values = admin_put_object(r, o, "variant");
    struct vary_part part;

    while (vary_next(&key, &part)) {
        char name[128];
        size_t len = part.name.len < sizeof name ? part.name.len : sizeof name - 1;

        memcpy(name, part.name.ptr, len);
        name[len] = '\0';
        admin_put(r, values, name, part.absent ? json_null() : admin_string(part.value));
    }
}

/* "soft", "hard" or null. */
static void put_purged(struct admin_request *r, json_t *o, enum purge_verdict v)
{
    static const char *const words[] = {
        [PURGE_VALID] = NULL, [PURGE_STALE] = "soft", [PURGE_DEAD] = "hard"};

    admin_put_text(r, o, "purged", words[v]);
}

static void put_reuse(struct admin_request *r, json_t *o, const struct reuse_facts *f, bool dead,
                      int64_t now)
{
    static const char *const words[] = {[REUSE_FRESH] = "fresh",
                                        [REUSE_STALE] = "stale",
                                        [REUSE_STALE_WHILE_REVALIDATE] = "stale-while-revalidate",
                                        [REUSE_VALIDATE] = "stale",
                                        [REUSE_GATEWAY_TIMEOUT] = "stale"};
    struct reuse reuse = reuse_check(f, NULL, now);

    admin_put_text(r, o, "state", dead ? "purged" : words[reuse.verdict]);
    admin_put_int(r, o, "age_s", reuse.age);
    admin_put_int(r, o, "ttl_s", reuse.ttl);
    admin_put_int(r, o, "lifetime_s", f->lifetime);
    admin_put_int(r, o, "since_s", now > f->response_time ? now - f->response_time : 0);
    admin_put_int(r, o, "stale_while_revalidate_s", f->stale_while_revalidate);
    admin_put_int(r, o, "stale_if_error_s", f->stale_if_error);
    admin_put_bool(r, o, "usable_on_error", !dead && reuse_on_error(f, now));
    admin_put_bool(r, o, "always_validated", f->no_cache);
    admin_put_bool(r, o, "never_stale", f->never_stale);
    admin_put_bool(r, o, "immutable", f->immutable);
}

static struct weir_span field_value(const struct stored_response *s, uint16_t id)
{
    for (uint32_t i = 0; i < s->field_count; i++)
        if (s->fields[i].id == id)
            return s->fields[i].value;
    return WEIR_SPAN_NONE;
}

static void put_form(struct admin_request *r, json_t *forms, struct weir_span coding, uint64_t len,
                     size_t cost)
{
    json_t *form = json_object();

    admin_put_span(r, form, "coding", coding);
    admin_put_int(r, form, "bytes", (int64_t)len);
    admin_put_int(r, form, "cost_bytes", (int64_t)cost);
    admin_append(r, forms, form);
}

/* The content as it is stored, then what was made of it since. */
static void put_forms(struct admin_request *r, json_t *o, const struct stored_response *s)
{
    json_t *forms = admin_put_array(r, o, "forms");
    struct weir_span coding = s->coding != CODING_OTHER ? coding_name(s->coding)
                                                        : field_value(s, HTTP_F_CONTENT_ENCODING);
    struct stored_form *made[CODINGS];
    size_t n = tier_forms(r->source->tier, s, made);

    put_form(r, forms, coding, s->body_len, s->cost_bytes);
    for (size_t i = 0; i < n; i++) {
        put_form(r, forms, coding_name(made[i]->coding), made[i]->len, made[i]->cost_bytes);
        stored_form_unref(made[i]);
    }
}

static void put_fields(struct admin_request *r, json_t *o, const struct stored_response *s)
{
    json_t *fields = admin_put_array(r, o, "fields");

    for (uint32_t i = 0; i < s->field_count; i++) {
        json_t *pair = json_array();

        admin_append(r, pair, admin_string(s->fields[i].name));
        admin_append(r, pair, admin_string(s->fields[i].value));
        admin_append(r, fields, pair);
    }
}

/* A space between two, as tags.h keeps them. */
static void put_tags(struct admin_request *r, json_t *o, struct weir_span text)
{
    json_t *tags = admin_put_array(r, o, "tags");
    struct weir_span tag;

    while (tags_next(&text, false, &tag))
        admin_append(r, tags, admin_string(tag));
}

static void put_stored(struct admin_request *r, json_t *o, const struct probe *p,
                       struct stored_response *s, enum purge_verdict purged)
{
    struct reuse_facts facts;

    purging_reuse(p->x.w, s, &facts);
    admin_put_int(r, o, "status", s->status);
    put_reuse(r, o, &facts, purged == PURGE_DEAD, r->source->loop->clock.wall_s);
    admin_put_int(r, o, "body_bytes", (int64_t)s->body_len);
    admin_put_int(r, o, "cost_bytes", (int64_t)s->cost_bytes);
    admin_put_span(r, o, "etag", s->etag);
    admin_put_span(r, o, "last_modified", s->last_modified);
    admin_put_bool(r, o, "recodable", s->forms != NULL && !s->as_sent_only);
    put_forms(r, o, s);
    put_tags(r, o, s->tags);
    put_fields(r, o, s);
}

static void put_marker(struct admin_request *r, json_t *o, const struct stored_response *s,
                       enum purge_verdict purged)
{
    int64_t left = s->marker_until_ms - r->source->loop->clock.mono_ms;

    admin_put_text(r, o, "state", left > 0 && purged == PURGE_VALID ? "in-force" : "over");
    admin_put_text(r, o, "why", s->why);
    admin_put_int(r, o, "ttl_s", left > 0 ? (left + 999) / 1000 : 0);
    admin_put_int(r, o, "cost_bytes", (int64_t)s->cost_bytes);
}

/* Is it what this request is answered by, as far as the variant goes? */
static bool matches(const struct admin_request *r, const struct probe *p,
                    const struct stored_response *s)
{
    if (s->kind == STORED_MARKER && s->marker_until_ms <= r->source->loop->clock.mono_ms)
        return false;
    return s->variant.len == 0 || vary_matches(s->variant, &p->x.req);
}

static enum purge_verdict purged(const struct admin_request *r, struct stored_response *s)
{
    int64_t since_s;

    return r->source->purges != NULL ? purge_check(r->source->purges, &s->purge, &since_s)
                                     : PURGE_VALID;
}

static json_t *seen_json(struct admin_request *r, const struct probe *p,
                         const struct tier_seen *seen, bool *chosen)
{
    struct stored_response *s = seen->response;
    enum purge_verdict v = purged(r, s);
    json_t *o = json_object();
    bool first = !*chosen && v != PURGE_DEAD && matches(r, p, s);

    *chosen = *chosen || first;
    admin_put_text(r, o, "kind", s->kind == STORED_MARKER ? "marker" : "response");
    admin_put_text(r, o, "scheme", p->x.target.https ? "https" : "http");
    admin_put_bool(r, o, "chosen", first);
    put_purged(r, o, v);
    put_variant(r, o, s->variant);
    admin_put_text(r, o, "queue", seen->main ? "main" : "small");
    admin_put_int(r, o, "uses", seen->uses);
    if (s->kind == STORED_MARKER)
        put_marker(r, o, s, v);
    else
        put_stored(r, o, p, s, v);
    return o;
}

static void put_all_seen(struct admin_request *r, json_t *array, const struct probe *p)
{
    struct tier_seen *seen;
    bool chosen = false;
    size_t n;

    if (p->x.key.bytes.ptr == NULL || r->source->tier == NULL)
        return;
    seen = weir_calloc(SEEN_MAX, sizeof *seen);
    r->failed |= seen == NULL;
    n = seen != NULL ? tier_list(r->source->tier, p->x.key.hash, p->x.key.bytes, seen, SEEN_MAX)
                     : 0;
    for (size_t i = 0; i < n; i++) {
        admin_append(r, array, seen_json(r, p, &seen[i], &chosen));
        stored_response_unref(seen[i].response);
    }
    weir_free(seen);
}

/* ---- the endpoint ---- */

static void put_url(struct admin_request *r, json_t *out, const struct probe *p)
{
    const struct http_target *t = &p->x.target;
    char *text = weir_malloc(16 + t->authority.len + t->origin_form.len);

    if (text == NULL) {
        r->failed = true;
        return;
    }
    sprintf(text, "%s://%.*s%.*s", t->https ? "https" : "http", (int)t->authority.len,
            t->authority.ptr, (int)t->origin_form.len, t->origin_form.ptr);
    admin_put_text(r, out, "url", text);
    weir_free(text);
}

void admin_cache_entry(struct admin_request *r)
{
    struct probe *p = make_probe(r);
    struct weir_err err = {0};
    json_t *out, *stored;

    if (p == NULL)
        return;
    out = json_object();
    put_url(r, out, p);
    put_route(r, out, p->x.route);
    stored = admin_put_array(r, out, "stored");
    put_all_seen(r, stored, p);
    admin_append_slices(r, stored, p);
    /* Who asks for https:// may mean what a proxy in front of weir takes as that and hands on as
     * http, so both are looked at. */
    r->failed |= !probe_swap_scheme(p, &err);
    put_all_seen(r, stored, p);
    admin_append_slices(r, stored, p);
    probe_free(p);
    admin_answer(r, 200, out);
}
