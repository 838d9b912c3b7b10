#include "admin_endpoints.h"

void admin_live(struct admin_request *r)
{
    json_t *out = json_object();

    admin_put_bool(r, out, "live", true);
    admin_answer(r, 200, out);
}
