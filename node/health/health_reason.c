#include "health.h"

static const char *const texts[HEALTH_REASONS] = {
#define X(id, text) text,
#include "probe_reasons.def"
#undef X
};

const char *health_reason_text(enum health_reason r)
{
    return (unsigned)r < HEALTH_REASONS ? texts[r] : "a reason this version does not know";
}
