#include "weir/metrics.h"

enum kind { COUNTER, GAUGE };

static const struct {
    const char *name;
    const char *help;
    enum kind kind;
} rows[WEIR_METRICS] = {
#define X(name, kind, help) [WEIR_M_##name] = {#name, help, kind},
#include "weir/metrics.def"
#undef X
};

const char *weir_metric_name(enum weir_metric which)
{
    return rows[which].name;
}

const char *weir_metric_help(enum weir_metric which)
{
    return rows[which].help;
}

int weir_metric_is_gauge(enum weir_metric which)
{
    return rows[which].kind == GAUGE;
}
