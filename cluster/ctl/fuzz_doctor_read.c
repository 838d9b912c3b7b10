/* Whatever a Redis says of its nodes and of itself: it is taken apart and judged. */
#include <stddef.h>
#include <stdint.h>

#include "doctor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span text = weir_span((const char *)data, size);
    struct doctor_report r = {.role = DOCTOR_STATE, .user = "weir", .clustered = true};

    if (!doctor_read_nodes(&r, text, "127.0.0.1", size % 2 == 1))
        r.out_of_memory = true;
    for (size_t i = 0; i < r.node_count; i++) {
        if (!doctor_read_lines(&r.arena, text, &r.nodes[i].info))
            break;
        r.nodes[i].settings = r.nodes[i].cluster = r.nodes[i].info;
        if (i == 4)
            break; /* enough to be slow with */
    }
    doctor_judge(&r);
    doctor_report_free(&r);
    return 0;
}
