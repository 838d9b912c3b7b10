/* The commands of weirctl: a row each. */
#include "ctl_farm.h"
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
    if (o->timeout_ms != 0 && !o->wait)
        return "--timeout is how long --wait waits: it needs --wait";
    if (o->timeout_ms > CTL_PURGE_WAIT_MS_MAX)
        return "--timeout of a purge is at most 30s";
    return NULL;
}

static const char *check_sort(const struct ctl_options *o)
{
    static const char *const columns[] = {"name", "requests", "errors", "hits", "load"};

    for (size_t i = 0; o->sort != NULL && i < sizeof columns / sizeof columns[0]; i++)
        if (strcmp(o->sort, columns[i]) == 0)
            return NULL;
    return o->sort != NULL ? "--sort takes name, requests, errors, hits or load" : NULL;
}

static const char *check_reload(const struct ctl_options *o)
{
    if ((o->argument_count > 0) + o->rolling + o->all > 1)
        return "a node, --rolling or --all: one of them";
    return NULL;
}

#define DIRECTION                                                                                  \
    "\n"                                                                                           \
    "The word holds for the whole farm and over restarts, wins over what health checks find, "     \
    "and\n"                                                                                        \
    "is shown to everybody with its author and reason. Exit status 1 when it is in force, but\n"   \
    "not everywhere or not safely yet.\n"

const struct ctl_command ctl_commands[] = {
    {.group = "status",
     .arguments = "",
     .options = CTL_EITHER,
     .run = ctl_status,
     .summary = "the farm on one screen: what is wrong first",
     .help = "Nodes, origins, operators' words in force, Redis, rates; what is wrong comes first.\n"
             "Rates are means of the last 10 seconds. * marks the node that answers.\n"
             "\n"
             "Exit status 0 fine, 1 degraded, 2 down, 3 usage or nobody to ask.\n"},
    {.group = "top",
     .arguments = "",
     .options = CTL_EITHER | CTL_BIT(ONCE) | CTL_BIT(INTERVAL) | CTL_BIT(SORT),
     .run = ctl_top,
     .check = check_sort,
     .summary = "the same, live, with rates for each node and origin",
     .help =
         "Keys: q quits, / filters by name, n r e h l sort by name, requests, errors, hits, load,\n"
         "+ and - look more or less often. REQ/S and FAIL/S of an origin are those of the node\n"
         "that is asked. With --once exit statuses are those of status; with an --interval too it\n"
         "looks twice, so that there are rates.\n"},
    {.group = "nodes",
     .arguments = "",
     .options = CTL_EITHER,
     .run = ctl_nodes,
     .summary = "the nodes of the farm",
     .help =
         "All live nodes: state, version, load, configuration, age of the last beat; and what is\n"
         "wrong with them. Exit status as of status, by the nodes alone.\n"},
    {.group = "drain",
     .arguments = "[NODE]",
     .options = CTL_SAYING,
     .run = ctl_node_drain,
     .summary = "let a node leave politely",
     .help =
         "The node becomes not ready, waits, stops accepting, finishes, leaves the farm and ends.\n"
         "Without NODE: the one that is asked, at once.\n"},
    {.group = "undrain",
     .arguments = "NODE",
     .options = CTL_SAYING,
     .run = ctl_node_undrain,
     .summary = "take that back, if it has not begun",
     .help =
         "Takes back what was said of a node. One that drains already goes on: start it anew.\n"},
    {.group = "unready",
     .arguments = "[NODE]",
     .options = CTL_SAYING,
     .run = ctl_node_unready,
     .summary = "no new traffic for a node",
     .help = "The node says that it is not ready, so that balancers, DNS and BGP send nothing new, "
             "and\n"
             "serves what comes all the same. Without NODE: the one that is asked.\n" DIRECTION},
    {.group = "ready",
     .arguments = "[NODE]",
     .options = CTL_SAYING,
     .run = ctl_node_ready,
     .summary = "take that back",
     .help =
         "Takes back what was said of a node: it is ready if nothing else speaks against it.\n"},
    {.group = "reload",
     .arguments = "[NODE]",
     .options = CTL_EITHER | CTL_BIT(REASON) | CTL_BIT(ROLLING) | CTL_BIT(ALL) | CTL_BIT(TIMEOUT),
     .run = ctl_reload,
     .check = check_reload,
     .summary = "read the configuration anew, here or everywhere",
     .synopsis = "\n[NODE | --rolling | --all] [--timeout DURATION]",
     .help =
         "Without NODE: the one that is asked. A node that is told by others is waited for: until\n"
         "its record says how it went. --rolling takes one node after the other, waits until it\n"
         "is ready again, and stops at the first failure.\n"
         "Exit status 2 when a configuration is refused: the old one stays in force there.\n"},
    {.group = "origins",
     .arguments = "",
     .options = CTL_EITHER | CTL_BIT(UPSTREAM),
     .run = ctl_origins,
     .summary = "the origins: verdicts, votes, reasons",
     .help = "All origins as the node that answers sees them. Exit status as of status, by the\n"
             "origins alone. Straight from Redis only those that are not simply up are known.\n"},
    {.group = "origins",
     .name = "drain",
     .arguments = "UPSTREAM URL",
     .options = CTL_SAYING,
     .run = ctl_origin_drain,
     .summary = "no new clients for an origin",
     .help = "Clients that stick to it go on.\n" DIRECTION},
    {.group = "origins",
     .name = "disable",
     .arguments = "UPSTREAM URL",
     .options = CTL_SAYING,
     .run = ctl_origin_disable,
     .summary = "nobody at all",
     .help = "No request goes to it.\n" DIRECTION},
    {.group = "origins",
     .name = "up",
     .arguments = "UPSTREAM URL",
     .options = CTL_SAYING,
     .run = ctl_origin_up,
     .summary = "in use, whatever checks say",
     .help = "It is used although checks find it down.\n" DIRECTION},
    {.group = "origins",
     .name = "enable",
     .arguments = "UPSTREAM URL",
     .options = CTL_SAYING,
     .run = ctl_origin_enable,
     .summary = "take drain, disable or up back",
     .help = "Health checks decide again. A weight that was said stays.\n"},
    {.group = "origins",
     .name = "weight",
     .arguments = "UPSTREAM URL WEIGHT",
     .options = CTL_SAYING,
     .run = ctl_origin_weight,
     .summary = "another weight: 1 to 1000, or default",
     .help = "Instead of the weight in the configuration; \"default\" takes it back.\n" DIRECTION},
    {.group = "maintenance",
     .name = "on",
     .arguments = "UPSTREAM",
     .options = CTL_SAYING,
     .run = ctl_maintenance_on,
     .summary = "ask no origin of an upstream",
     .help = "Stored responses are served, stale ones too; what is not stored is answered with "
             "503.\n" DIRECTION},
    {.group = "maintenance",
     .name = "off",
     .arguments = "UPSTREAM",
     .options = CTL_SAYING,
     .run = ctl_maintenance_off,
     .summary = "take that back",
     .help = "Its origins are asked again.\n"},
    {.group = "words",
     .arguments = "",
     .options = CTL_EITHER,
     .run = ctl_words,
     .summary = "what operators have said, and what is in force",
     .help = "Each with its author, reason, and how long it holds.\n"
             "Exit status 1 when one has not reached Redis yet.\n"},
    {.group = "limits",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_limits,
     .summary = "rate limits, and who was refused most",
     .help = "Counts are those of the node that is asked.\n"},
    {.group = "tls",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_tls,
     .summary = "certificates: for what names, until when, what is stapled",
     .help =
         "Those that expire first stand first.\n"
         "Exit status 1 when one expires within 14 days, has expired or is revoked, or what it\n"
         "must have stapled is not to be had.\n"},
    {.group = "tls",
     .name = "acme",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_tls_acme,
     .summary = "certificates that are obtained by ACME, and what went wrong",
     .help = "Failures are those of the node that is asked: one node at a time tries.\n"},
    {.group = "tls",
     .name = "tickets",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_tls_tickets,
     .summary = "the keys of session tickets: names and ages",
     .help =
         "The same on all nodes, when all is well. A name is the beginning of every ticket that\n"
         "was issued under the key; of the key itself nothing is shown.\n"},
    {.group = "config",
     .arguments = "",
     .options = CTL_NODE,
     .run = ctl_config,
     .summary = "the configuration in force, with all defaults",
     .help = "As JSON, which is YAML too. Of secrets there are only the names of their files.\n"},
    {.group = "config",
     .name = "drift",
     .arguments = "",
     .options = CTL_EITHER,
     .run = ctl_config_drift,
     .summary = "which nodes have another one",
     .help = "Exit status 1 when a node has another configuration than most.\n"},
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
                CTL_BIT(ALL) | CTL_BIT(HARD) | CTL_BIT(WAIT) | CTL_BIT(TIMEOUT),
     .run = ctl_cache_purge,
     .check = check_purge,
     .summary = "make stored responses stale, or drop them",
     .synopsis = "(--url URL | --prefix PREFIX | --tag TAG | --host HOST) ... [--hard]\n"
                 "    [--wait [--timeout DURATION]]\n"
                 "--all [--hard] [--wait [--timeout DURATION]]",
     .help =
         "Makes stored responses stale, or unusable. All may be repeated and mixed. It takes no\n"
         "longer for many responses than for one.\n"
         "With --wait it ends when every live node has applied it, and tells how long each took.\n"
         "Exit status 1 when not all have, or the farm's log cannot be reached.\n"},
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
     .options =
         CTL_REDIS | CTL_BIT(ROLE) | CTL_BIT(NODE_USER) | CTL_BIT(SECRET_FILE) | CTL_BIT(FARM),
     .run = ctl_doctor,
     .summary = "is the farm, and its Redis, as it should be?",
     .synopsis = "[--config FILE] [--user NAME --password-file FILE]\n"
                 "--redis HOST:PORT[,...] [--role cache|state|one] [--tls ...] [--user NAME ...]",
     .help = "Asks every node of the Redis that a farm shares for its settings and its state, and\n"
             "tells what is not as weir needs it: where, why it matters, and how to change it.\n"
             "Changes nothing. Without --config and --redis: /etc/weir/weir.yaml.\n"
             "Then it reads what the nodes of the farm have written there (with --redis: if there "
             "is a\n"
             "--secret-file): two of one name, clocks, configurations and secrets that differ.\n"
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
