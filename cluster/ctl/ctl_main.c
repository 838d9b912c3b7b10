/*
 * weirctl - sees and steers a running node over its admin socket.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_text.h"

struct command {
    const char *group, *name;
    unsigned arguments;
    enum ctl_exit (*run)(const struct ctl_options *o);
    const char *help;
};

static const struct command commands[] = {
    {"cache", "stats", 0, ctl_cache_stats,
     "weirctl cache stats\n"
     "\n"
     "What the cache of this node holds, how often it answers, and what it passes on.\n"
     "Exit status 1 when the cache is turned off.\n"},
    {"cache", "get", 1, ctl_cache_get,
     "weirctl cache get URL [-H 'Name: value'] ... [--fields]\n"
     "\n"
     "What is stored for a URL: all variants, how fresh they are, their sizes, tags and "
     "validators;\n"
     "markers, and why nothing could be stored. It counts as no use.\n"
     "\n"
     "  -H, --header 'Name: value'   a field of the request: shows which variant it gets\n"
     "      --fields                 also the stored fields\n"
     "\n"
     "Exit status 1 when nothing is stored.\n"},
    {"cache", "purge", 0, ctl_cache_purge,
     "weirctl cache purge (--url URL | --prefix PREFIX | --tag TAG | --host HOST) ... [--hard]\n"
     "weirctl cache purge --all [--hard]\n"
     "\n"
     "  --url URL         this URL, in all its variants, for http and https\n"
     "  --prefix PREFIX   every path that begins so: http://example.org/news/, or /news/ on every "
     "host\n"
     "  --tag TAG         what Surrogate-Key or Cache-Tag named so\n"
     "  --host HOST       everything of a host\n"
     "  --all             everything\n"
     "  --hard            gone at once; else it is stale from now on: used while it is "
     "revalidated,\n"
     "                    or if the origin fails, as far as its stale windows reach\n"
     "\n"
     "All may be repeated and mixed. It takes no longer for many responses than for one.\n"},
    {"redis", NULL, 0, ctl_redis,
     "weirctl redis\n"
     "\n"
     "How this node sees the Redis of its farm: who serves which slots, how fast, and what went "
     "wrong.\n"
     "Exit status 1 when a part of it is not used, 2 when none of it is.\n"},
    {"metrics", NULL, 0, ctl_metrics,
     "weirctl metrics\n"
     "\n"
     "All counters of the node, as Prometheus reads them.\n"},
    {"doctor", NULL, 0, ctl_doctor,
     "weirctl doctor [--config FILE] [--user NAME --password-file FILE]\n"
     "weirctl doctor --redis HOST:PORT[,...] [--role cache|state|one] [--tls ...] [--user NAME "
     "...]\n"
     "\n"
     "Asks every node of the Redis that a farm shares for its settings and its state, and tells "
     "what\n"
     "is not as weir needs it: where, why it matters, and how to change it. Changes nothing.\n"
     "\n"
     "      --config FILE           of a weir node: where its Redis is and how to log in;\n"
     "                              else /etc/weir/weir.yaml\n"
     "      --redis HOST:PORT,...   or a Redis by its address\n"
     "      --role ROLE             what it is for: cache, state, or one (both)\n"
     "      --user NAME             log in as this one, who may read settings: ops in "
     "conf/redis/users.acl\n"
     "      --password-file FILE    with this password\n"
     "      --node-user NAME        the user of weir, whose rights to look at; with --redis, else "
     "--user\n"
     "      --tls                   with --redis: talk TLS,\n"
     "      --ca-file FILE          trust these certificates alone,\n"
     "      --server-name NAME      which must bear this name rather than the address,\n"
     "      --cert-file FILE, --key-file FILE   and show this one\n"
     "\n"
     "Exit status 0 when nothing is wrong (notes do not count), 1 findings, 2 weir cannot work "
     "with "
     "it,\n"
     "3 wrong usage or nobody to ask.\n"},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static const char usage[] =
    "weirctl - see and steer a weir node\n"
    "\n"
    "  weirctl cache stats        how the cache does\n"
    "  weirctl cache get URL      what is stored for a URL, and why not\n"
    "  weirctl cache purge ...    make stored responses stale, or drop them\n"
    "  weirctl redis              how this node sees the Redis of its farm\n"
    "  weirctl metrics            all counters, as Prometheus reads them\n"
    "  weirctl doctor             is the farm's Redis as it should be?\n"
    "\n"
    "  -s, --socket PATH   the node's admin socket; else $WEIR_SOCKET, else /run/weir/admin.sock,\n"
    "                      $XDG_RUNTIME_DIR/weir/admin.sock, /tmp/weir-UID/admin.sock\n"
    "  -j, --json          print the node's answer as JSON\n"
    "  -h, --help          also behind a command\n"
    "  -V, --version\n"
    "\n"
    "Exit status: 0 fine, 1 degraded or nothing found, 2 the node cannot, 3 usage or no node.\n";

enum {
    OPTION_URL = 256,
    OPTION_PREFIX,
    OPTION_TAG,
    OPTION_HOST,
    OPTION_ALL,
    OPTION_HARD,
    OPTION_FIELDS,
    OPTION_CONFIG,
    OPTION_REDIS,
    OPTION_ROLE,
    OPTION_USER,
    OPTION_PASSWORD_FILE,
    OPTION_NODE_USER,
    OPTION_TLS,
    OPTION_CA_FILE,
    OPTION_CERT_FILE,
    OPTION_KEY_FILE,
    OPTION_SERVER_NAME,
};

static const struct option longs[] = {
    {"socket", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"header", required_argument, NULL, 'H'},
    {"fields", no_argument, NULL, OPTION_FIELDS},
    {"url", required_argument, NULL, OPTION_URL},
    {"prefix", required_argument, NULL, OPTION_PREFIX},
    {"tag", required_argument, NULL, OPTION_TAG},
    {"host", required_argument, NULL, OPTION_HOST},
    {"all", no_argument, NULL, OPTION_ALL},
    {"hard", no_argument, NULL, OPTION_HARD},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"redis", required_argument, NULL, OPTION_REDIS},
    {"role", required_argument, NULL, OPTION_ROLE},
    {"user", required_argument, NULL, OPTION_USER},
    {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
    {"node-user", required_argument, NULL, OPTION_NODE_USER},
    {"tls", no_argument, NULL, OPTION_TLS},
    {"ca-file", required_argument, NULL, OPTION_CA_FILE},
    {"cert-file", required_argument, NULL, OPTION_CERT_FILE},
    {"key-file", required_argument, NULL, OPTION_KEY_FILE},
    {"server-name", required_argument, NULL, OPTION_SERVER_NAME},
    {NULL, 0, NULL, 0},
};

struct parsed {
    struct ctl_options o;
    bool help, version, wrong;
};

static int wrong(const char *what)
{
    fprintf(stderr, "weirctl: %s\ntry: weirctl --help\n", what);
    return CTL_USAGE;
}

static void add(struct parsed *p, struct ctl_list *list, const char *value)
{
    if (list->count == CTL_LIST_MAX) {
        wrong("too many of one kind");
        p->wrong = true;
        return;
    }
    list->at[list->count++] = value;
}

/* Those that are a text of doctor's; NULL: it is none. */
static const char **text_option(struct ctl_options *o, int option)
{
    switch (option) {
    case OPTION_CONFIG:
        return &o->config;
    case OPTION_REDIS:
        return &o->redis;
    case OPTION_ROLE:
        return &o->role;
    case OPTION_USER:
        return &o->user;
    case OPTION_PASSWORD_FILE:
        return &o->password_file;
    case OPTION_NODE_USER:
        return &o->node_user;
    case OPTION_CA_FILE:
        return &o->ca_file;
    case OPTION_CERT_FILE:
        return &o->cert_file;
    case OPTION_KEY_FILE:
        return &o->key_file;
    case OPTION_SERVER_NAME:
        return &o->server_name;
    default:
        return NULL;
    }
}

static void take(struct parsed *p, int option)
{
    const char **text = text_option(&p->o, option);

    if (text != NULL) {
        *text = optarg;
        return;
    }
    switch (option) {
    case 's':
        p->o.socket = optarg;
        break;
    case 'j':
        p->o.json = true;
        break;
    case 'h':
        p->help = true;
        break;
    case 'V':
        p->version = true;
        break;
    case 'H':
        add(p, &p->o.fields, optarg);
        break;
    case OPTION_URL:
        add(p, &p->o.urls, optarg);
        break;
    case OPTION_PREFIX:
        add(p, &p->o.prefixes, optarg);
        break;
    case OPTION_TAG:
        add(p, &p->o.tags, optarg);
        break;
    case OPTION_HOST:
        add(p, &p->o.hosts, optarg);
        break;
    case OPTION_ALL:
        p->o.all = true;
        break;
    case OPTION_HARD:
        p->o.hard = true;
        break;
    case OPTION_FIELDS:
        p->o.show_fields = true;
        break;
    case OPTION_TLS:
        p->o.tls = true;
        break;
    default:
        p->wrong = true; /* getopt has said why */
    }
}

static const struct command *find(const struct ctl_list *words, unsigned *arguments)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *c = &commands[i];
        unsigned names = c->name != NULL ? 2 : 1;

        if (words->count < names || strcmp(words->at[0], c->group) != 0 ||
            (c->name != NULL && strcmp(words->at[1], c->name) != 0))
            continue;
        *arguments = words->count - names;
        return c;
    }
    return NULL;
}

/* doctor takes a configuration or addresses; what says how to reach addresses stands with them. */
static const char *misplaced_of_doctor(const struct ctl_options *o)
{
    bool reach = o->role != NULL || o->node_user != NULL || o->tls || o->ca_file != NULL ||
                 o->cert_file != NULL || o->key_file != NULL || o->server_name != NULL;

    if (o->config != NULL && o->redis != NULL)
        return "--config says where Redis is: no --redis beside it";
    if (reach && o->redis == NULL)
        return "--role, --node-user, --tls and what belongs to it go with --redis";
    if (o->password_file == NULL && o->user != NULL)
        return "--user needs --password-file";
    return NULL;
}

/* Options that belong to another command are mistakes, not noise. */
static const char *misplaced(const struct command *c, const struct ctl_options *o)
{
    bool scopes = o->urls.count + o->prefixes.count + o->tags.count + o->hosts.count > 0;
    bool redis = o->config != NULL || o->redis != NULL || o->password_file != NULL ||
                 o->user != NULL || misplaced_of_doctor(o) != NULL;

    if (c->run != ctl_cache_get && (o->fields.count > 0 || o->show_fields))
        return "--header and --fields belong to cache get";
    if (c->run != ctl_cache_purge && (scopes || o->all || o->hard))
        return "--url, --prefix, --tag, --host, --all and --hard belong to cache purge";
    if (c->run != ctl_doctor && redis)
        return "--config, --redis and what belongs to them go with doctor";
    if (c->run == ctl_doctor)
        return misplaced_of_doctor(o);
    if (c->run == ctl_cache_purge && o->all && scopes)
        return "--all is everything: nothing else beside it";
    if (c->run == ctl_cache_purge && !o->all && !scopes)
        return "say what to purge: --url, --prefix, --tag, --host or --all";
    return NULL;
}

/* `weirctl cache --help` shows all of the group. */
static int help(const struct ctl_list *words)
{
    unsigned shown = 0;

    for (size_t i = 0; i < COMMANDS && words->count > 0; i++) {
        const struct command *c = &commands[i];

        if (strcmp(words->at[0], c->group) != 0 ||
            (words->count > 1 && c->name != NULL && strcmp(words->at[1], c->name) != 0))
            continue;
        if (shown++ > 0)
            putchar('\n');
        fputs(c->help, stdout);
    }
    if (shown == 0)
        fputs(usage, stdout);
    return 0;
}

static int run(const struct ctl_options *o)
{
    unsigned arguments;
    const struct command *c = find(&o->words, &arguments);
    const char *fault;

    if (o->words.count == 0) {
        fputs(usage, stderr);
        return CTL_USAGE;
    }
    if (c == NULL)
        return wrong("there is no such command");
    if (arguments != c->arguments)
        return wrong(c->arguments > 0 ? "this command takes a URL" : "unexpected argument");
    fault = misplaced(c, o);
    return fault != NULL ? wrong(fault) : (int)c->run(o);
}

int main(int argc, char **argv)
{
    struct parsed p = {.help = false};
    int option;

    while ((option = getopt_long(argc, argv, "s:jhVH:", longs, NULL)) != -1)
        take(&p, option);
    while (optind < argc)
        add(&p, &p.o.words, argv[optind++]);
    if (p.wrong)
        return CTL_USAGE;
    if (p.version) {
        puts("weirctl " WEIR_VERSION);
        return 0;
    }
    if (p.help)
        return help(&p.o.words);
    p.o.colours = ctl_colours(stdout);
    return run(&p.o);
}
