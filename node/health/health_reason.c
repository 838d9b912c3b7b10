#include "health.h"

static const struct {
    const char *name, *text;
} reasons[HEALTH_REASONS] = {
#define X(id, name, text) {name, text},
#include "probe_reasons.def"
#undef X
};

const char *health_reason_name(enum health_reason r)
{
    return (unsigned)r < HEALTH_REASONS ? reasons[r].name : "unknown";
}

const char *health_reason_text(enum health_reason r)
{
    return (unsigned)r < HEALTH_REASONS ? reasons[r].text : "a reason this version does not know";
}
