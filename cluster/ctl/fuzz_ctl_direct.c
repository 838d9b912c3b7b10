/* Records of nodes and words, whatever they say, to origins as weirctl shows them without a node:
 * each is once there, with a state that docs/api.md knows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_direct_own.h"
#include "farm_judgement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const json_t *origin)
{
    static const char *const states[] = {"unknown", "up",       "down",
                                         "drained", "disabled", "maintenance"};
    const char *state = json_string_value(json_object_get(origin, "in_force"));

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (state != NULL && strcmp(state, states[i]) == 0)
            return;
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *farm = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL), *origins, *one;
    struct direct d = {.settings = NULL};
    size_t i;

    if (farm == NULL)
        return 0;
    origins = direct_origins(&d, json_object_get(farm, "nodes"), json_object_get(farm, "words"));
    json_array_foreach(origins, i, one) check(one);
    if (json_is_object(farm) && json_object_set_new(farm, "origins", origins) == 0)
        farm_judge(farm);
    else if (!json_is_object(farm))
        json_decref(origins);
    json_decref(farm);
    return 0;
}
