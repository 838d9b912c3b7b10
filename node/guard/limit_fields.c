#include "limit_fields.h"

#include "limit_rate.h"

#define SECOND_US 1000000

static bool told(const struct limit *l, const struct limit_taken *t)
{
    return l->settings->fields && !l->settings->dry_run && t->verdict != LIMIT_EXEMPT;
}

static void put_item(struct http_text *t, const struct limit *l, bool first)
{
    if (!first)
        http_text_lit(t, ", ");
    http_text_lit(t, "\"");
    http_text_add(t, weir_span_str(l->settings->name)); /* no '"' and no '\' in names */
    http_text_lit(t, "\"");
}

static void put_policy(struct http_text *t, const struct limit *l, bool first)
{
    put_item(t, l, first);
    http_text_lit(t, ";q=");
    http_text_u64(t, l->rate.burst);
    http_text_lit(t, ";w=");
    http_text_u64(t, limit_rate_window_s(&l->rate));
}

static void put_state(struct http_text *t, const struct limit *l, const struct limit_taken *taken,
                      bool first)
{
    struct weir_gcra_rate out = l->rate;

    out.burst = l->rate.burst > taken->said.rest ? l->rate.burst - taken->said.rest : 0;
    put_item(t, l, first);
    http_text_lit(t, ";r=");
    http_text_u64(t, taken->said.rest);
    http_text_lit(t, ";t=");
    http_text_u64(t, limit_rate_window_s(&out));
}

void limit_fields_put(struct http_text *t, const struct limit_list *list,
                      const struct limit_taken *taken, uint32_t count,
                      const struct limit_taken *refused)
{
    struct http_text policy;
    char buf[LIMIT_FIELDS_MAX / 2];
    uint32_t put = 0;

    http_text_init(&policy, buf, sizeof buf);
    for (uint32_t i = 0; i < count; i++) {
        if (!told(list->at[i], &taken[i]))
            continue;
        if (put == 0)
            http_text_lit(t, "RateLimit: ");
        put_state(t, list->at[i], &taken[i], put == 0);
        put_policy(&policy, list->at[i], put == 0);
        put++;
    }
    if (put > 0) {
        http_text_lit(t, "\r\n");
        http_text_field(t, WEIR_SPAN_LIT("RateLimit-Policy"), http_text_span(&policy));
    }
    if (refused != NULL) {
        http_text_lit(t, "Retry-After: ");
        http_text_i64(t, (refused->said.wait_us + SECOND_US - 1) / SECOND_US);
        http_text_lit(t, "\r\n");
    }
}
