#include "ctl_line.h"

#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "config_value.h"
#include "ctl_text.h"

/* ---- options ---- */

enum kind { FLAG, TEXT, LIST, DURATION };

struct option_row {
    struct ctl_option_text text;
    enum kind kind;
    size_t at; /* in struct ctl_options */
};

#define AT(member) offsetof(struct ctl_options, member)

static const struct option_row rows[CTL_OPTIONS] = {
    [CTL_O_JSON] = {{"json", NULL, 'j', NULL, "print the answer as JSON"}, FLAG, AT(json)},
    [CTL_O_HELP] = {{"help", NULL, 'h', NULL, "also behind a command"}, FLAG, AT(help)},
    [CTL_O_VERSION] = {{"version", NULL, 'V', NULL, "print the version"}, FLAG, AT(version)},

    [CTL_O_SOCKET] = {{"socket", "PATH", 's', "FILE", "the node's admin socket"}, TEXT, AT(socket)},
    [CTL_O_NODE] = {{"node", "URL", 0, NULL, "its admin API over TLS instead: https://host:port"},
                    TEXT,
                    AT(node)},
    [CTL_O_TOKEN_FILE] = {{"token-file", "FILE", 0, "FILE", "with the token in this file"},
                          TEXT,
                          AT(token_file)},

    [CTL_O_CONFIG] = {{"config", "FILE", 0, "FILE",
                       "of a weir node: where its Redis is and how to log in"},
                      TEXT,
                      AT(config)},
    [CTL_O_REDIS] = {{"redis", "HOST:PORT,...", 0, NULL, "a Redis by its address"},
                     TEXT,
                     AT(redis)},
    [CTL_O_SECRET_FILE] = {{"secret-file", "FILE", 0, "FILE", "with --redis: the farm's secret"},
                           TEXT,
                           AT(secret_file)},
    [CTL_O_FARM] = {{"farm", "NAME", 0, NULL, "with --redis: the farm's name, else default"},
                    TEXT,
                    AT(farm)},
    [CTL_O_ROLE] = {{"role", "ROLE", 0, "cache state one",
                     "with --redis: what it is for: cache, state, or one (both)"},
                    TEXT,
                    AT(role)},
    [CTL_O_USER] = {{"user", "NAME", 0, NULL, "log in to Redis as this one"}, TEXT, AT(user)},
    [CTL_O_PASSWORD_FILE] = {{"password-file", "FILE", 0, "FILE", "with this password"},
                             TEXT,
                             AT(password_file)},
    [CTL_O_NODE_USER] = {{"node-user", "NAME", 0, NULL,
                          "with --redis: the user of weir, whose rights to look at; else --user"},
                         TEXT,
                         AT(node_user)},
    [CTL_O_TLS] = {{"tls", NULL, 0, NULL, "with --redis: talk TLS"}, FLAG, AT(tls)},
    [CTL_O_CA_FILE] = {{"ca-file", "FILE", 0, "FILE", "trust these certificates alone"},
                       TEXT,
                       AT(ca_file)},
    [CTL_O_SERVER_NAME] = {{"server-name", "NAME", 0, NULL,
                            "the name that certificates must bear, not the address's"},
                           TEXT,
                           AT(server_name)},
    [CTL_O_CERT_FILE] = {{"cert-file", "FILE", 0, "FILE", "show this certificate"},
                         TEXT,
                         AT(cert_file)},
    [CTL_O_KEY_FILE] = {{"key-file", "FILE", 0, "FILE", "and its key"}, TEXT, AT(key_file)},

    [CTL_O_HEADER] = {{"header", "'NAME: VALUE'", 'H', NULL,
                       "a field of the request: shows which variant it gets"},
                      LIST,
                      AT(fields)},
    [CTL_O_FIELDS] = {{"fields", NULL, 0, NULL, "also the stored fields"}, FLAG, AT(show_fields)},
    [CTL_O_URL] = {{"url", "URL", 0, NULL, "this URL, in all its variants, for http and https"},
                   LIST,
                   AT(urls)},
    [CTL_O_PREFIX] = {{"prefix", "PREFIX", 0, NULL,
                       "every path that begins so: http://example.org/news/, or /news/ on every "
                       "host"},
                      LIST,
                      AT(prefixes)},
    [CTL_O_TAG] = {{"tag", "TAG", 0, NULL, "what Surrogate-Key or Cache-Tag named so"},
                   LIST,
                   AT(tags)},
    [CTL_O_HOST] = {{"host", "HOST", 0, NULL, "everything of a host"}, LIST, AT(hosts)},
    [CTL_O_ALL] = {{"all", NULL, 0, NULL, "everything, or every node"}, FLAG, AT(all)},
    [CTL_O_HARD] = {{"hard", NULL, 0, NULL,
                     "gone at once; else it is stale from now on: used while it is revalidated, or "
                     "if the origin fails, as far as its stale windows reach"},
                    FLAG,
                    AT(hard)},
    [CTL_O_WAIT] = {{"wait", NULL, 0, NULL,
                     "until every live node of the farm has it, and tell how long each took"},
                    FLAG,
                    AT(wait)},
    [CTL_O_UPSTREAM] = {{"upstream", "NAME", 0, ":upstream", "only of this upstream"},
                        TEXT,
                        AT(upstream)},
    [CTL_O_REASON] = {{"reason", "TEXT", 0, NULL, "why: shown to everybody who looks"},
                      TEXT,
                      AT(reason)},
    [CTL_O_FOR] = {{"for", "DURATION", 0, "10m 30m 1h 8h 1d",
                    "it ends by itself after 30m, 2h, 1d; else it holds until it is taken back"},
                   DURATION,
                   AT(for_ms)},
    [CTL_O_ROLLING] = {{"rolling", NULL, 0, NULL,
                        "one node after the other, each when the one before is ready again"},
                       FLAG,
                       AT(rolling)},
    [CTL_O_TIMEOUT] = {{"timeout", "DURATION", 0, "10s 30s 1m",
                        "wait no longer for each node; purge: 10s, else 30s"},
                       DURATION,
                       AT(timeout_ms)},
    [CTL_O_ONCE] = {{"once", NULL, 0, NULL, "print one picture and end: needs no terminal"},
                    FLAG,
                    AT(once)},
    [CTL_O_INTERVAL] = {{"interval", "DURATION", 0, "1s 2s 5s", "look again so often; 2s"},
                        DURATION,
                        AT(interval_ms)},
    [CTL_O_SORT] = {{"sort", "COLUMN", 0, "name requests errors hits load",
                     "order nodes and origins by name, requests, errors, hits or load"},
                    TEXT,
                    AT(sort)},
};

const struct ctl_option_text *ctl_option_text(enum ctl_option_id id)
{
    return (unsigned)id < CTL_OPTIONS ? &rows[id].text : NULL;
}

/* ---- reading ---- */

struct reading {
    struct ctl_options *o;
    uint64_t given; /* options */
    FILE *complaints;
};

static bool __attribute__((format(printf, 2, 3))) wrong(FILE *to, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fputs("weirctl: ", to);
    ctl_put(to, text);
    fputs("\ntry: weirctl --help\n", to);
    return false;
}

static bool add(struct reading *r, struct ctl_list *list, const char *value)
{
    if (list->count == CTL_LIST_MAX)
        return wrong(r->complaints, "too many of one kind");
    list->at[list->count++] = value;
    return true;
}

static bool take_duration(struct reading *r, const struct option_row *row, const char *value,
                          uint64_t *out)
{
    if (config_value_parse(CONFIG_DURATION_MS, weir_span_str(value), out) == CONFIG_VALUE_OK &&
        *out > 0 && *out < (UINT64_C(1) << 53))
        return true;
    return wrong(r->complaints, "--%s takes %s, not \"%.40s\"", row->text.name,
                 config_value_form(CONFIG_DURATION_MS), value);
}

static bool take(struct reading *r, enum ctl_option_id id, const char *value)
{
    const struct option_row *row = &rows[id];
    char *at = (char *)r->o + row->at;

    r->given |= UINT64_C(1) << id;
    switch (row->kind) {
    case FLAG:
        *(bool *)(void *)at = true;
        return true;
    case TEXT:
        *(const char **)(void *)at = value;
        return true;
    case LIST:
        return add(r, (struct ctl_list *)(void *)at, value);
    case DURATION:
        return take_duration(r, row, value, (uint64_t *)(void *)at);
    }
    return false;
}

#define FIRST 256 /* what getopt returns for the first row */

static void fill_getopt(struct option longs[CTL_OPTIONS + 1], char shorts[2 * CTL_OPTIONS + 3])
{
    size_t at = 0;

    shorts[at++] =
        ':'; /* it says nothing itself, and tells a missing value from an unknown option */
    for (int i = 0; i < CTL_OPTIONS; i++) {
        bool valued = rows[i].kind != FLAG;

        longs[i] = (struct option){rows[i].text.name, valued ? required_argument : no_argument,
                                   NULL, FIRST + i};
        if (rows[i].text.letter == 0)
            continue;
        shorts[at++] = rows[i].text.letter;
        if (valued)
            shorts[at++] = ':';
    }
    shorts[at] = '\0';
    longs[CTL_OPTIONS] = (struct option){NULL, 0, NULL, 0};
}

static int by_letter(int letter)
{
    for (int i = 0; i < CTL_OPTIONS; i++)
        if (rows[i].text.letter != 0 && rows[i].text.letter == letter)
            return i;
    return -1;
}

/* The option that somebody who typed `given` may have meant. */
static const char *near_option(const char *given)
{
    const char *best = NULL;
    unsigned least = 0, distance;

    given += strspn(given, "-");
    for (int i = 0; i < CTL_OPTIONS; i++) {
        if (config_is_near(weir_span(given, strcspn(given, "=")), weir_span_str(rows[i].text.name),
                           &distance) &&
            (best == NULL || distance < least)) {
            best = rows[i].text.name;
            least = distance;
        }
    }
    return best;
}

static bool unknown_option(struct reading *r, const char *given)
{
    const char *meant = near_option(given);

    if (meant != NULL && strncmp(given, "--", 2) == 0)
        return wrong(r->complaints, "there is no option %.60s; --%s?", given, meant);
    return wrong(r->complaints, "there is no option %.60s", given);
}

static bool read_options(struct reading *r, int argc, char *const *argv)
{
    struct option longs[CTL_OPTIONS + 1];
    char shorts[2 * CTL_OPTIONS + 3];
    int c;

    fill_getopt(longs, shorts);
    opterr = 0;
    optind = 0; /* glibc: begin anew, for tests that read several lines */
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const char *given = argv[optind - 1];

        if (c == ':')
            return wrong(r->complaints, "%.60s needs a value", given);
        if (c == '?' && optopt > 0 && optopt < 128)
            return wrong(r->complaints, "there is no option -%c", optopt);
        if (c == '?')
            return unknown_option(r, given);
        if (!take(r, (enum ctl_option_id)(c >= FIRST ? c - FIRST : by_letter(c)), optarg))
            return false;
    }
    while (optind < argc)
        if (!add(r, &r->o->words, argv[optind++]))
            return false;
    return true;
}

/* ---- the command ---- */

static const struct ctl_command *find(const struct ctl_command *commands,
                                      const struct ctl_list *words)
{
    const struct ctl_command *found = NULL;

    for (const struct ctl_command *c = commands; c->group != NULL && words->count > 0; c++) {
        if (strcmp(words->at[0], c->group) != 0)
            continue;
        if (c->name == NULL)
            found = c;
        else if (words->count > 1 && strcmp(words->at[1], c->name) == 0)
            return c;
    }
    return found;
}

static bool is_group(const struct ctl_command *commands, const char *word)
{
    for (const struct ctl_command *c = commands; c->group != NULL; c++)
        if (c->name != NULL && strcmp(c->group, word) == 0)
            return true;
    return false;
}

/* The word that is nearest to what was typed, among groups, or among the names of a group. */
static const char *near_word(const struct ctl_command *commands, const char *group,
                             const char *typed)
{
    const char *best = NULL;
    unsigned least = 0, distance;

    for (const struct ctl_command *c = commands; c->group != NULL; c++) {
        const char *word = group == NULL                                     ? c->group
                           : strcmp(c->group, group) == 0 && c->name != NULL ? c->name
                                                                             : NULL;

        if (word != NULL && config_is_near(weir_span_str(typed), weir_span_str(word), &distance) &&
            (best == NULL || distance < least)) {
            best = word;
            least = distance;
        }
    }
    return best;
}

static bool unknown_command(FILE *to, const struct ctl_command *commands,
                            const struct ctl_list *words)
{
    const char *group = is_group(commands, words->at[0]) ? words->at[0] : NULL;
    const char *typed = group != NULL ? words->at[1] : words->at[0], *meant;

    if (group != NULL && words->count < 2)
        return wrong(to, "%s what? weirctl %s --help tells", group, group);
    meant = near_word(commands, group, typed);
    if (meant != NULL)
        return wrong(to, "there is no command \"%s%s%.40s\"; %s?", group != NULL ? group : "",
                     group != NULL ? " " : "", typed, meant);
    return wrong(to, "there is no command \"%s%s%.40s\"", group != NULL ? group : "",
                 group != NULL ? " " : "", typed);
}

static void count_arguments(const char *text, unsigned *least, unsigned *most)
{
    *least = *most = 0;
    while (*text != '\0') {
        *least += *text != '[';
        ++*most;
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
}

static const char *command_name(const struct ctl_command *c, char out[64])
{
    snprintf(out, 64, "%s%s%s", c->group, c->name != NULL ? " " : "",
             c->name != NULL ? c->name : "");
    return out;
}

static bool check_arguments(FILE *to, const struct ctl_command *commands,
                            const struct ctl_command *c, struct ctl_options *o)
{
    unsigned names = c->name != NULL ? 2 : 1, least, most;
    char name[64];

    o->arguments = o->words.at + names;
    o->argument_count = o->words.count - names;
    count_arguments(c->arguments, &least, &most);
    if (o->argument_count > 0 && c->name == NULL && is_group(commands, c->group) && most == 0)
        return unknown_command(to, commands, &o->words);
    if (o->argument_count > most)
        return wrong(to, "unexpected \"%.60s\": %s takes %s", o->arguments[most],
                     command_name(c, name), most > 0 ? c->arguments : "no argument");
    if (o->argument_count < least)
        return wrong(to, "%s takes %s", command_name(c, name), c->arguments);
    return true;
}

/* Options that belong to another command are mistakes, not noise. */
static bool check_options(FILE *to, const struct ctl_command *c, uint64_t given)
{
    uint64_t strange = given & ~(c->options | CTL_EVERY);
    char name[64];

    for (int i = 0; i < CTL_OPTIONS; i++)
        if ((strange >> i & 1) != 0)
            return wrong(to, "--%s does not belong to %s", rows[i].text.name,
                         command_name(c, name));
    return true;
}

/* What holds for all that asks a node or Redis: exactly one place, and what belongs to it. */
static const char *reach_fault(const struct ctl_options *o)
{
    bool redis = o->config != NULL || o->redis != NULL;
    bool tls =
        o->ca_file != NULL || o->cert_file != NULL || o->key_file != NULL || o->server_name != NULL;

    if (o->config != NULL && o->redis != NULL)
        return "--config says where Redis is: no --redis beside it";
    if ((o->socket != NULL) + (o->node != NULL) + redis > 1)
        return "--socket, --node, and Redis (--config or --redis): one of them";
    if (o->node != NULL && o->token_file == NULL && o->cert_file == NULL)
        return "--node needs --token-file, or --cert-file and --key-file";
    if (o->node == NULL && o->token_file != NULL)
        return "--token-file goes with --node";
    if ((o->cert_file == NULL) != (o->key_file == NULL))
        return "--cert-file and --key-file go together";
    if (tls && o->redis == NULL && o->node == NULL)
        return "--ca-file, --server-name, --cert-file and --key-file go with --node or --redis";
    if (o->tls && o->redis == NULL)
        return "--tls goes with --redis";
    if ((o->role != NULL || o->node_user != NULL) && o->redis == NULL)
        return "--role and --node-user go with --redis";
    if ((o->secret_file != NULL || o->farm != NULL) && o->redis == NULL)
        return "--secret-file and --farm go with --redis";
    return NULL;
}

static const char *login_fault(const struct ctl_command *c, const struct ctl_options *o)
{
    bool doctor = (c->options & CTL_BIT(ROLE)) != 0; /* it looks at /etc/weir/weir.yaml by itself */

    if (o->user != NULL && o->password_file == NULL)
        return "--user needs --password-file";
    if (!doctor && (o->user != NULL || o->password_file != NULL) && o->config == NULL &&
        o->redis == NULL)
        return "--user and --password-file go with --config or --redis";
    if (!doctor && o->redis != NULL && o->secret_file == NULL)
        return "--redis needs --secret-file: what nodes say there is sealed with the farm's secret";
    return NULL;
}

bool ctl_line_read(const struct ctl_command *commands, int argc, char *const *argv,
                   struct ctl_options *o, const struct ctl_command **command, FILE *complaints)
{
    struct reading r = {.o = o, .complaints = complaints};
    const struct ctl_command *c;
    const char *fault;

    memset(o, 0, sizeof *o);
    *command = NULL;
    if (!read_options(&r, argc, argv))
        return false;
    if (o->words.count == 0 || o->help || o->version)
        return true;
    c = find(commands, &o->words);
    if (c == NULL)
        return unknown_command(complaints, commands, &o->words);
    if (!check_arguments(complaints, commands, c, o) || !check_options(complaints, c, r.given))
        return false;
    fault = reach_fault(o);
    if (fault == NULL)
        fault = login_fault(c, o);
    if (fault == NULL && c->check != NULL)
        fault = c->check(o);
    *command = c;
    return fault == NULL || wrong(complaints, "%s", fault);
}
