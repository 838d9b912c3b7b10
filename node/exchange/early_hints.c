#include "early_hints.h"

/* A browser that opens a page; it, and few other clients, know what to do with hints. */
static bool navigates(const struct http_head *req)
{
    return weir_span_eq(http_head_value(req, HTTP_F_SEC_FETCH_MODE), WEIR_SPAN_LIT("navigate"));
}

static bool contains(struct weir_span in, struct weir_span word)
{
    for (size_t i = 0; i + word.len <= in.len; i++)
        if (weir_span_ieq(weir_span(in.ptr + i, word.len), word))
            return true;
    return false;
}

/* Nothing depends on an exact reading: what is let through by mistake is a hint, too. */
static bool hints(struct weir_span link)
{
    return contains(link, WEIR_SPAN_LIT("rel=")) &&
           (contains(link, WEIR_SPAN_LIT("preload")) || /* and modulepreload */
            contains(link, WEIR_SPAN_LIT("preconnect")) ||
            contains(link, WEIR_SPAN_LIT("dns-prefetch")));
}

const struct http_head *early_hints(struct weir_exchange *x, const struct http_head *head,
                                    struct http_head *out)
{
    enum route_early_hints whom = x->route->settings->early_hints;

    if (head->status != 103 || whom == ROUTE_EARLY_HINTS_ALL)
        return head;
    if (whom == ROUTE_EARLY_HINTS_OFF || !navigates(&x->req))
        return NULL;
    http_head_init(out, NULL, 0);
    out->status = 103;
    for (const struct http_field *f = http_head_first(head, HTTP_F_LINK); f != NULL;
         f = http_head_next(head, f))
        if (hints(f->value) && !http_head_add_id(out, &x->arena, HTTP_F_LINK, f->value))
            return NULL; /* not essential */
    return out->count > 0 ? out : NULL;
}
