/* What a responder sends: HTTP around it, then the response itself. */
#include <stdint.h>

#include "tls_ocsp.h"
#include "tls_ocsp_ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_span bytes = weir_span((const char *)data, size), content;
    struct tls_ocsp_answer answer;
    char why[96];

    if (tls_ocsp_content(bytes, &content, why))
        bytes = content;
    tls_ocsp_judge(bytes, WEIR_SPAN_NONE, WEIR_SPAN_NONE, 1800000000, &answer);
    return 0;
}
