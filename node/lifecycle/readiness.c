#include "readiness.h"

#include <assert.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "net_loop.h"

struct reason_row {
    const char *name;
    bool measured; /* may flap by itself: the delay holds for it */
};

static const struct reason_row rows[READY_REASONS] = {
    [READY_STARTING] = {"starting", false}, [READY_DRAINING] = {"draining", false},
    [READY_WORD] = {"operator", false},     [READY_SUSPECT] = {"suspect", true},
    [READY_ORIGINS] = {"origins", true},    [READY_MEMORY] = {"memory", true},
};

struct readiness {
    struct net_loop *loop;
    struct readiness_settings settings;
    unsigned reasons; /* bits: 1 << enum ready_reason */
    atomic_bool ready;
    int64_t since_ms;
    int64_t calm_from_ms; /* not ready before it: a measured reason has just gone */
    struct net_timer settle, tell;
    bool any_told, told; /* what the watchers know */
    struct readiness_watcher *watchers, **last;
};

const char *ready_reason_name(enum ready_reason reason)
{
    return rows[reason].name;
}

static bool has(const struct readiness *r, enum ready_reason reason)
{
    return (r->reasons & 1U << reason) != 0;
}

static void tell_soon(struct readiness *r)
{
    if (r->tell.at == NULL)
        net_timer_start(r->loop, &r->tell, net_now_ms(r->loop));
}

/* What the reasons and the delay come to, now. */
static void judge(struct readiness *r)
{
    int64_t now = net_now_ms(r->loop);
    bool ready = r->reasons == 0 && now >= r->calm_from_ms;

    if (r->reasons == 0 && !ready)
        net_timer_start(r->loop, &r->settle, r->calm_from_ms);
    else
        net_timer_stop(r->loop, &r->settle);
    if (ready == atomic_load(&r->ready))
        return;
    atomic_store(&r->ready, ready);
    r->since_ms = now;
    tell_soon(r);
}

static void on_settle(struct net_timer *t)
{
    judge(WEIR_CONTAINER(t, struct readiness, settle));
}

/* Ready for less than a tick, or not ready for so long, is told to nobody. */
static void on_tell(struct net_timer *t)
{
    struct readiness *r = WEIR_CONTAINER(t, struct readiness, tell);
    bool ready = atomic_load(&r->ready);

    if (has(r, READY_STARTING) || (r->any_told && r->told == ready))
        return;
    r->any_told = true;
    r->told = ready;
    for (struct readiness_watcher *w = r->watchers; w != NULL; w = w->next)
        w->changed(w, ready);
}

struct readiness *readiness_new(struct net_loop *loop, const struct readiness_settings *settings,
                                struct weir_err *err)
{
    struct readiness *r = weir_calloc(1, sizeof *r);

    if (r == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "readiness: create", 0);
        return NULL;
    }
    r->loop = loop;
    r->settings = *settings;
    r->reasons = 1U << READY_STARTING;
    r->since_ms = net_now_ms(loop);
    r->calm_from_ms = INT64_MIN;
    r->settle.fire = on_settle;
    r->tell.fire = on_tell;
    r->last = &r->watchers;
    return r;
}

void readiness_free(struct readiness *r)
{
    if (r == NULL)
        return;
    net_timer_stop(r->loop, &r->settle);
    net_timer_stop(r->loop, &r->tell);
    weir_free(r);
}

void readiness_configure(struct readiness *r, const struct readiness_settings *settings)
{
    r->settings = *settings;
}

void readiness_set(struct readiness *r, enum ready_reason reason, bool on)
{
    assert(reason < READY_REASONS);
    if (has(r, reason) == on)
        return;
    r->reasons ^= 1U << reason;
    if (!on && rows[reason].measured)
        r->calm_from_ms = net_now_ms(r->loop) + r->settings.delay_ms;
    if (!on && reason == READY_STARTING)
        tell_soon(r);
    judge(r);
}

bool readiness_is(const struct readiness *r)
{
    return atomic_load_explicit(&r->ready, memory_order_relaxed);
}

const atomic_bool *readiness_flag(const struct readiness *r)
{
    return &r->ready;
}

int64_t readiness_since_ms(const struct readiness *r)
{
    return r->since_ms;
}

size_t readiness_because(const struct readiness *r, const char *names[READY_REASONS])
{
    size_t n = 0;

    for (unsigned i = 0; i < READY_REASONS; i++)
        if (has(r, (enum ready_reason)i))
            names[n++] = rows[i].name;
    if (n == 0 && !readiness_is(r))
        names[n++] = "settling";
    return n;
}

char *readiness_text(const struct readiness *r, char out[READINESS_TEXT_MAX])
{
    const char *names[READY_REASONS];
    size_t n = readiness_because(r, names), used = 0;

    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);

        assert(used + len + 2 <= READINESS_TEXT_MAX);
        if (used > 0)
            out[used++] = ',';
        memcpy(out + used, names[i], len);
        used += len;
    }
    out[used] = '\0';
    return out;
}

void readiness_watch(struct readiness *r, struct readiness_watcher *w)
{
    w->next = NULL;
    *r->last = w;
    r->last = &w->next;
}
