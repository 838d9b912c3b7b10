#include "probe.h"

#include "weir/alloc.h"
#include "keyed.h"
#include "stages.h"

static void set_up(struct probe *p, const struct probe_place *place)
{
    struct weir_exchange *x = &p->x;

    p->worker = (struct exchange_worker){
        .loop = place->loop,
        .metrics = place->metrics,
        .site = &p->binding,
        .secret = place->secret,
        .purges = place->purges,
        .search_rules = place->search_rules,
        .scratch = place->scratch,
    };
    p->binding.site = place->site;
    p->binding.worker = &p->worker;
    x->w = &p->worker;
    x->loop = place->loop;
    x->site = &p->binding;
    x->peer = &p->peer;
    x->protocol = "HTTP/1.1";
    x->sticky_set = -1;
    weir_arena_init(&x->arena, 0);
    http_head_init(&x->req, p->fields, PROBE_FIELDS_MAX);
}

static bool fill_request(struct probe *p, struct weir_span url, const struct http_field *fields,
                         size_t count, struct weir_err *err)
{
    struct http_head *req = &p->x.req;

    req->method = http_method_name(HTTP_M_GET);
    req->method_id = HTTP_M_GET;
    req->target = url;
    req->minor = 1;
    if (count > PROBE_FIELDS_MAX)
        return weir_fail(err, WEIR_E_HEAD_TOO_LARGE, "probe", 0);
    for (size_t i = 0; i < count; i++)
        if (!http_head_add(req, NULL, fields[i].name, fields[i].value))
            return weir_fail(err, WEIR_E_MEMORY, "probe", 0);
    if (url.len > 0 && url.ptr[0] == '/')
        return weir_failf(err, WEIR_E_BAD_TARGET, "probe", 0, "expected http://host/path");
    return http_target_parse(req, false, &p->x.arena, &p->x.target, err);
}

static bool find(struct probe *p, struct weir_err *err)
{
    p->x.secure = p->x.target.https;
    stages_find_route(&p->x);
    if (p->x.route == NULL || keyed_build(&p->x))
        return true;
    *err = p->x.err;
    return false;
}

struct probe *probe_new(const struct probe_place *place, struct weir_span url,
                        const struct http_field *fields, size_t field_count, struct weir_err *err)
{
    struct probe *p = weir_calloc(1, sizeof *p);

    if (p == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "probe", 0);
        return NULL;
    }
    set_up(p, place);
    if (!fill_request(p, url, fields, field_count, err) || !find(p, err)) {
        probe_free(p);
        return NULL;
    }
    return p;
}

bool probe_swap_scheme(struct probe *p, struct weir_err *err)
{
    p->x.target.https = !p->x.target.https;
    p->x.slice.size = 0;
    return find(p, err);
}

bool probe_slice(struct probe *p, uint64_t number, struct weir_err *err)
{
    p->x.slice.number = number;
    p->x.slice.size = p->x.route != NULL ? p->x.route->settings->cache.slice_bytes : 0;
    return find(p, err);
}

void probe_free(struct probe *p)
{
    if (p == NULL)
        return;
    weir_arena_free(&p->x.arena);
    weir_free(p);
}
