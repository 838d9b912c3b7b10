#include "admin.h"
#include "admin_endpoints.h"
#include "admin_views.h"
#include "reload_report.h"

void admin_config(struct admin_request *r)
{
    json_t *out = json_object();

    if (r->source->config == NULL || r->source->report == NULL) {
        json_decref(out);
        admin_refuse(r, 503, "there is none yet");
        return;
    }
    admin_put_hex(r, out, "hash", r->source->report->config);
    admin_put_span(r, out, "file", weir_span_str(r->source->config_file));
    admin_put(r, out, "config", r->source->config(r->source->arg));
    admin_answer(r, 200, out);
}
