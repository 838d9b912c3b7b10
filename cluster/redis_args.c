#include "redis_args.h"

#include <stdio.h>

#include "redis_cluster.h"
#include "weir/alloc.h"

#define SCRIPT_ARGS 3

static size_t bytes_of(const struct redis_arg *argv, size_t argc)
{
    size_t bytes = sizeof(struct redis_args) + argc * sizeof(*argv);

    for (size_t i = 0; i < argc; i++)
        if (argv[i].blob == NULL)
            bytes += argv[i].text.len;
    return bytes;
}

/* Copies argv behind the first `skip` arguments; *text: what follows the texts. */
static void copy(struct redis_args *a, const struct redis_arg *argv, size_t argc, size_t skip,
                 char **text)
{
    a->argc = skip + argc;
    a->lent = false;
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
}

struct redis_args *redis_args_new(const struct redis_arg *argv, size_t argc, void *room,
                                  size_t room_bytes)
{
    size_t bytes = bytes_of(argv, argc);
    bool lent = bytes <= room_bytes;
    struct redis_args *a = lent ? room : weir_malloc(bytes);
    char *text;

    if (a == NULL)
        return NULL;
    copy(a, argv, argc, 0, &text);
    a->lent = lent;
    return a;
}

struct redis_args *redis_args_script(const struct redis_script *script, size_t key_count,
                                     const struct redis_arg *argv, size_t argc)
{
    enum { DIGITS = 24 };
    char *text;
    struct redis_args *a = weir_malloc(bytes_of(argv, argc) + SCRIPT_ARGS * sizeof(*argv) + DIGITS);

    if (a == NULL)
        return NULL;
    copy(a, argv, argc, SCRIPT_ARGS, &text);
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
    if (!a->lent)
        weir_free(a);
}
