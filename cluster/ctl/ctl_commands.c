/* The commands of weirctl: a row each. */
#include "ctl_line.h"

#include <string.h>

/* ---- what single commands demand beyond their options ---- */

static const char *check_purge(const struct ctl_options *o)
{
    bool scopes = o->urls.count + o->prefixes.count + o->tags.count + o->hosts.count > 0;

    if (o->all && scopes)
        return "--all is everything: nothing else beside it";
    if (!o->all && !scopes)
        return "say what to purge: --url, --prefix, --tag, --host or --all";
    return NULL;
}

const struct ctl_command ctl_commands[] = {
    {.group = "cache",
     .name = "stats",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_cache_stats,
     .summary = "how the cache does",
     .help = "What the cache of this node holds, how often it answers, and what it passes on.\n"
             "Exit status 1 when the cache is turned off.\n"},
    {.group = "cache",
     .name = "get",
     .arguments = "URL",
     .options = CTL_NODE | CTL_BIT(HEADER) | CTL_BIT(FIELDS),
     .run = ctl_cache_get,
     .summary = "what is stored for a URL, and why not",
     .help = "What is stored for a URL: all variants, how fresh they are, their sizes, tags and\n"
             "validators; markers, and why nothing could be stored. It counts as no use.\n"
             "Exit status 1 when nothing is stored.\n"},
    {.group = "cache",
     .name = "purge",
     .arguments = "",
     .options = CTL_NODE | CTL_BIT(URL) | CTL_BIT(PREFIX) | CTL_BIT(TAG) | CTL_BIT(HOST) |
                CTL_BIT(ALL) | CTL_BIT(HARD),
     .run = ctl_cache_purge,
     .check = check_purge,
     .summary = "make stored responses stale, or drop them",
     .synopsis = "(--url URL | --prefix PREFIX | --tag TAG | --host HOST) ... [--hard]\n"
                 "--all [--hard]",
     .help =
         "Makes stored responses stale, or unusable. All may be repeated and mixed. It takes no\n"
         "longer for many responses than for one.\n"},
    {.group = "redis",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_redis,
     .summary = "how this node sees the Redis of its farm",
     .help =
         "How this node sees the Redis of its farm: who serves which slots, how fast, and what\n"
         "went wrong.\n"
         "Exit status 1 when a part of it is not used, 2 when none of it is.\n"},
    {.group = "metrics",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_metrics,
     .summary = "all counters of this node",
     .help = "All counters of the node, as Prometheus reads them.\n"},
    {.group = "doctor",
     .arguments = "",
     .options = CTL_REDIS | CTL_BIT(ROLE) | CTL_BIT(NODE_USER),
     .run = ctl_doctor,
     .summary = "is the farm's Redis as it should be?",
     .synopsis = "[--config FILE] [--user NAME --password-file FILE]\n"
                 "--redis HOST:PORT[,...] [--role cache|state|one] [--tls ...] [--user NAME ...]",
     .help = "Asks every node of the Redis that a farm shares for its settings and its state, and\n"
             "tells what is not as weir needs it: where, why it matters, and how to change it.\n"
             "Changes nothing. Without --config and --redis: /etc/weir/weir.yaml.\n"
             "\n"
             "--user is one who may read settings: ops in conf/redis/users.acl.\n"
             "\n"
             "Exit status 0 when nothing is wrong (notes do not count), 1 findings, 2 weir cannot\n"
             "work with it, 3 wrong usage or nobody to ask.\n"},
    {.group = "help",
     .arguments = "[COMMAND] [NAME]",
     .run = ctl_help,
     .summary = "what weirctl can do, or one command",
     .help = "Without a command: all of them. With --json: commands and options, for programs.\n"},
    {.group = NULL},
};

enum ctl_exit ctl_help(const struct ctl_options *o)
{
    struct ctl_list named = {.count = o->argument_count};

    if (o->json) {
        json_t *all = ctl_help_json(ctl_commands);

        ctl_print_json(all);
        json_decref(all);
        return CTL_FINE;
    }
    if (named.count == 0) {
        ctl_help_all(ctl_commands, stdout);
        return CTL_FINE;
    }
    memcpy(named.at, o->arguments, named.count * sizeof named.at[0]);
    if (ctl_help_of(ctl_commands, &named, stdout))
        return CTL_FINE;
    fputs("weirctl: there is no such command\ntry: weirctl help\n", stderr);
    return CTL_USAGE;
}
