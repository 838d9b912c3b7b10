/*
 * redis_args.h - the arguments of a command, kept for as long as it may have to be sent again.
 */
#ifndef REDIS_ARGS_H
#define REDIS_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "redis_conn.h"

struct redis_script;

struct redis_args {
    size_t argc;
    bool lent; /* lies in the caller's room */
    struct redis_arg argv[];
};

/* Copies the texts, keeps references to the blobs: into `room`, which stays until
 * redis_args_free(), if they fit there, else into one allocation. NULL without memory. */
struct redis_args *redis_args_new(const struct redis_arg *argv, size_t argc, void *room,
                                  size_t room_bytes);
/* EVALSHA sha1 key_count argv..., in an allocation */
struct redis_args *redis_args_script(const struct redis_script *script, size_t key_count,
                                     const struct redis_arg *argv, size_t argc);
/* From now on with the source, or with the sum again. Keeps pointers into the script. */
void redis_args_reload(struct redis_args *a, const struct redis_script *script, bool source);
void redis_args_free(struct redis_args *a); /* NULL does nothing */

#endif
