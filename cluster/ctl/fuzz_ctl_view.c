/* The farm as weirctl shows it, from whatever JSON: no control character comes through, no line is
 * wider than the terminal. The first byte is the width. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_view.h"
#include "farm_judgement.h"
#include "weir/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t len, unsigned width)
{
    unsigned columns = 0;

    for (size_t i = 0; i < len;) {
        size_t n = weir_utf8_length((const unsigned char *)text + i, len - i);

        if (n == 0)
            abort(); /* no UTF-8 */
        if (text[i] == '\n')
            columns = 0;
        else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f ||
                 (n == 2 && (unsigned char)text[i] == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
            abort();
        else if (n < 3 && ++columns > width) /* what takes two columns is counted elsewhere */
            abort();
        i += n;
    }
}

static void look_at(json_t *farm, unsigned width)
{
    struct ctl_look look = {.width = width};
    struct ctl_top top = {.height = width, .sort = "requests", .interval_ms = 2000};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    ctl_view_status(out, &look, farm);
    ctl_view_nodes(out, &look, farm);
    ctl_view_origins(out, &look, farm, NULL);
    ctl_view_words(out, &look, farm, 1800000000);
    ctl_view_drift(out, &look, farm);
    ctl_view_limits(out, &look, farm);
    ctl_view_certificates(out, &look, farm);
    ctl_view_acme(out, &look, farm, 1000);
    ctl_view_tickets(out, &look, farm);
    ctl_view_rates(farm, farm, 1000);
    ctl_view_top(out, &look, &top, farm);
    fclose(out);
    check(text, len, width);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *farm;

    if (size < 2)
        return 0;
    farm = json_loadb((const char *)data + 1, size - 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (farm == NULL)
        return 0;
    look_at(farm, 40u + data[0]);
    if (json_is_object(farm) && farm_judge(farm))
        look_at(farm, 40u + data[0]);
    json_decref(farm);
    return 0;
}
