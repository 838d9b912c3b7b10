#include "redis_args.h"

#include <stdio.h>

#include "redis_cluster.h"
#include "weir/alloc.h"

#define SCRIPT_ARGS 3

/* Copies argv behind the first `skip` arguments, with `spare` bytes of room at *text. */
static struct redis_args *copied(const struct redis_arg *argv, size_t argc, size_t skip,
                                 size_t spare, char **text)
{
    size_t bytes = 0;
    struct redis_args *a;

    for (size_t i = 0; i < argc; i++)
        if (argv[i].blob == NULL)
            bytes += argv[i].text.len;
    a = weir_malloc(sizeof(*a) + (skip + argc) * sizeof(a->argv[0]) + bytes + spare);
    if (a == NULL)
        return NULL;
    a->argc = skip + argc;
    *text = (char *)&a->argv[a->argc];
    for (size_t i = 0; i < argc; i++) {
        struct redis_arg *to = &a->argv[skip + i];

        *to = argv[i];
        if (to->blob != NULL) {
            weir_blob_ref(to->blob);
            continue;
        }
        if (to->text.len > 0)
            memcpy(*text, to->text.ptr, to->text.len);
        to->text.ptr = *text;
        *text += to->text.len;
    }
    return a;
}

struct redis_args *redis_args_new(const struct redis_arg *argv, size_t argc)
{
    char *text;

    return copied(argv, argc, 0, 0, &text);
}

struct redis_args *redis_args_script(const struct redis_script *script, size_t key_count,
                                     const struct redis_arg *argv, size_t argc)
{
    enum { DIGITS = 24 };
    char *text;
    struct redis_args *a = copied(argv, argc, SCRIPT_ARGS, DIGITS, &text);

    if (a == NULL)
        return NULL;
    snprintf(text, DIGITS, "%zu", key_count);
    a->argv[2] = redis_arg_str(text);
    redis_args_reload(a, script, false);
    return a;
}

void redis_args_reload(struct redis_args *a, const struct redis_script *script, bool source)
{
    a->argv[0] = redis_arg_str(source ? "EVAL" : "EVALSHA");
    a->argv[1] = redis_arg_str(source ? script->source : script->sha1);
}

void redis_args_free(struct redis_args *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->argc; i++)
        weir_blob_unref(a->argv[i].blob);
    weir_free(a);
}
