#include "limit_stage.h"

#include "limit.h"
#include "limit_fields.h"
#include "stages.h"

struct exchange_limited {
    const struct limit_list *list;
    uint32_t asked; /* those before it have answered */
    bool waits;     /* for the one at `asked` */
    struct limit_waiter *waiter;
    const struct limit *refused;       /* NULL: none did, not even in a dry run */
    const struct limit_taken *refusal; /* NULL: the request may pass */
    struct limit_taken taken[];        /* of each of the list */
};

static struct limit_subject subject_of(const struct weir_exchange *x)
{
    return (struct limit_subject){&x->req, &x->client_addr,
                                  weir_span_str(x->route->settings->name)};
}

static enum exchange_verdict no_memory(struct weir_exchange *x)
{
    weir_fail(&x->err, WEIR_E_MEMORY, "limits: take", 0);
    return EXCHANGE_FAIL;
}

static struct exchange_limited *begin(struct weir_exchange *x)
{
    const struct limit_list *list = x->site->site->route_limits[x->route->index];
    struct exchange_limited *l =
        weir_arena_alloc(&x->arena, sizeof *l + list->count * sizeof l->taken[0]);

    if (l == NULL)
        return NULL;
    *l = (struct exchange_limited){.list = list};
    x->limited = l;
    return l;
}

static void on_taken(void *arg)
{
    struct weir_exchange *x = arg;

    x->limited->waiter = NULL;
    exchange_resume(x, EXCHANGE_WAIT); /* runs the stage again */
}

void limit_stage_cancel(struct weir_exchange *x)
{
    struct exchange_limited *l = x->limited;

    if (l->waiter != NULL)
        limit_cancel(l->waiter);
    l->waiter = NULL;
}

/* The limit at l->asked has refused. */
static enum exchange_verdict refuse(struct weir_exchange *x, struct exchange_limited *l)
{
    for (uint32_t i = 0; i < l->asked; i++)
        limit_give_back(&x->w->limits, l->list->at[i], &l->taken[i]);
    l->refusal = &l->taken[l->asked++];
    weir_failf(&x->err, WEIR_E_RATE_LIMIT, "limits", 0, "%s", l->refused->settings->name);
    return EXCHANGE_FAIL;
}

/* The limit at l->asked has said something. */
static enum exchange_verdict judge(struct weir_exchange *x, struct exchange_limited *l)
{
    const struct limit *limit = l->list->at[l->asked];
    const struct limit_taken *taken = &l->taken[l->asked];
    const struct limit_subject subject = subject_of(x);

    if (taken->verdict == LIMIT_FAILED)
        return no_memory(x);
    limit_count(&x->w->limits, limit, &subject, taken);
    if (taken->verdict == LIMIT_REFUSED) {
        l->refused = limit;
        if (!limit->settings->dry_run)
            return refuse(x, l);
    }
    l->asked++;
    return EXCHANGE_NEXT;
}

/* Asks the one at l->asked. */
static enum exchange_verdict ask(struct weir_exchange *x, struct exchange_limited *l)
{
    const struct limit_subject subject = subject_of(x);

    if (limit_take(&x->w->limits, l->list->at[l->asked], &subject, &l->taken[l->asked], &l->waiter,
                   on_taken, x) != LIMIT_WAIT)
        return judge(x, l);
    l->waits = true;
    if (exchange_hold(x))
        return EXCHANGE_WAIT;
    limit_stage_cancel(x);
    return EXCHANGE_FAIL;
}

enum exchange_verdict limit_stage_run(struct weir_exchange *x)
{
    struct exchange_limited *l = x->limited;
    enum exchange_verdict verdict = EXCHANGE_NEXT;

    if (!limit_stage_applies(x))
        return EXCHANGE_NEXT;
    if (l == NULL && (l = begin(x)) == NULL)
        return no_memory(x);
    if (l->waits) {
        l->waits = false;
        verdict = judge(x, l);
    }
    while (verdict == EXCHANGE_NEXT && l->asked < l->list->count)
        verdict = ask(x, l);
    return verdict == EXCHANGE_NEXT ? stages_act(x) : verdict;
}

size_t limit_stage_room(const struct weir_exchange *x)
{
    return LIMIT_FIELDS_BYTES(x->limited->list->count);
}

void limit_stage_put(struct http_text *t, const struct weir_exchange *x)
{
    const struct exchange_limited *l = x->limited;

    if (l->list->fields || l->refusal != NULL)
        limit_fields_put(t, l->list, l->taken, l->asked, l->refusal);
}

int limit_stage_status(const struct weir_exchange *x)
{
    return (int)x->limited->refused->settings->status;
}

const char *limit_stage_refused(const struct weir_exchange *x)
{
    const struct exchange_limited *l = x->limited;

    return l != NULL && l->refused != NULL ? l->refused->settings->name : NULL;
}
