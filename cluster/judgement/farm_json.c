#include "farm_json.h"

const char *farm_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

int64_t farm_int(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

double farm_real(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

bool farm_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

bool farm_false(const json_t *object, const char *name)
{
    return json_is_false(json_object_get(object, name));
}
