/*
 * metrics.h - counters kept per thread and summed by the reader; an increment is one plain add.
 */
#ifndef WEIR_METRICS_H
#define WEIR_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

enum weir_metric {
#define X(name, kind, help) WEIR_M_##name,
#include "weir/metrics.def"
#undef X
    WEIR_METRICS
};

/* One per thread; written by that thread alone, read by anyone. */
struct weir_metrics {
    _Alignas(64) _Atomic int64_t value[WEIR_METRICS];
};

static inline void weir_metric_add(struct weir_metrics *m, enum weir_metric which, int64_t n)
{
    /* A single writer: load and store relaxed, no locked instruction. */
    atomic_store_explicit(&m->value[which],
                          atomic_load_explicit(&m->value[which], memory_order_relaxed) + n,
                          memory_order_relaxed);
}

const char *weir_metric_name(enum weir_metric which);
const char *weir_metric_help(enum weir_metric which);
int weir_metric_is_gauge(enum weir_metric which);

#endif
