/*
 * ctl_line.h - the command line of weirctl: what options there are, what commands, and which
 * options belong to which command.
 *
 * Pure: words in, struct ctl_options or one sentence out. A command is a row in ctl_commands.c, an
 * option a row in ctl_line.c; help texts, completion, the checks and `help --json` (which the
 * manual page is tested against) all come from these rows.
 */
#ifndef CTL_LINE_H
#define CTL_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl.h"

enum ctl_option_id {
    /* of every command */
    CTL_O_JSON,
    CTL_O_HELP,
    CTL_O_VERSION,
    /* where the node is */
    CTL_O_SOCKET,
    CTL_O_NODE,
    CTL_O_TOKEN_FILE,
    /* where Redis is */
    CTL_O_CONFIG,
    CTL_O_REDIS,
    CTL_O_SECRET_FILE,
    CTL_O_FARM,
    CTL_O_ROLE,
    CTL_O_USER,
    CTL_O_PASSWORD_FILE,
    CTL_O_NODE_USER,
    CTL_O_TLS,
    CTL_O_CA_FILE,
    CTL_O_SERVER_NAME,
    CTL_O_CERT_FILE,
    CTL_O_KEY_FILE,
    /* of single commands */
    CTL_O_HEADER,
    CTL_O_FIELDS,
    CTL_O_URL,
    CTL_O_PREFIX,
    CTL_O_TAG,
    CTL_O_HOST,
    CTL_O_ALL,
    CTL_O_HARD,
    CTL_O_WAIT,
    CTL_O_UPSTREAM,
    CTL_O_REASON,
    CTL_O_FOR,
    CTL_O_ROLLING,
    CTL_O_TIMEOUT,
    CTL_O_ONCE,
    CTL_O_INTERVAL,
    CTL_O_SORT,
    CTL_OPTIONS
};

#define CTL_BIT(name) (UINT64_C(1) << CTL_O_##name)

/* Sets that come together. */
#define CTL_EVERY (CTL_BIT(JSON) | CTL_BIT(HELP) | CTL_BIT(VERSION))
#define CTL_NODE                                                                                   \
    (CTL_BIT(SOCKET) | CTL_BIT(NODE) | CTL_BIT(TOKEN_FILE) | CTL_BIT(CA_FILE) |                    \
     CTL_BIT(SERVER_NAME) | CTL_BIT(CERT_FILE) | CTL_BIT(KEY_FILE))
#define CTL_REDIS                                                                                  \
    (CTL_BIT(CONFIG) | CTL_BIT(REDIS) | CTL_BIT(USER) | CTL_BIT(PASSWORD_FILE) | CTL_BIT(TLS) |    \
     CTL_BIT(CA_FILE) | CTL_BIT(SERVER_NAME) | CTL_BIT(CERT_FILE) | CTL_BIT(KEY_FILE))
/* A node, or Redis without any node. */
#define CTL_EITHER (CTL_NODE | CTL_REDIS | CTL_BIT(SECRET_FILE) | CTL_BIT(FARM))
#define CTL_SAYING (CTL_EITHER | CTL_BIT(REASON) | CTL_BIT(FOR))

struct ctl_command {
    const char *group, *name; /* name NULL: the group is the command, or its own list */
    const char *arguments;    /* "UPSTREAM URL [WEIGHT]": those in brackets may be left out */
    uint64_t options;         /* bits; CTL_EVERY is meant too */
    enum ctl_exit (*run)(const struct ctl_options *o);
    const char *(*check)(const struct ctl_options *o); /* what is wrong, static; NULL: no more */
    const char *summary;  /* for the list of commands; NULL: it is not shown there */
    const char *synopsis; /* behind the name; NULL: made from arguments */
    const char *help;     /* sentences; lines of 100 columns at most */
};

/* Ends with a row whose group is NULL. */
extern const struct ctl_command ctl_commands[];

/*
 * Reads argv. Options may stand before and behind the words; "--" ends them. false: one line on
 * `complaints` says what is wrong. *command: NULL if no words were given, or with --help and
 * --version where none is named.
 */
bool ctl_line_read(const struct ctl_command *commands, int argc, char *const *argv,
                   struct ctl_options *o, const struct ctl_command **command, FILE *complaints);

/* Names and values of one option; NULL beyond the last. */
struct ctl_option_text {
    const char *name, *argument; /* "reason", "TEXT"; NULL: it takes none */
    char letter;                 /* 0: none */
    const char *values;          /* "cache state one", "FILE"; NULL: cannot be completed */
    const char *help;
};
const struct ctl_option_text *ctl_option_text(enum ctl_option_id id);

/* ---- ctl_help.c ---- */

/* All commands. */
void ctl_help_all(const struct ctl_command *commands, FILE *out);
/* Those that the words name: one, or a group. false: there is none. */
bool ctl_help_of(const struct ctl_command *commands, const struct ctl_list *words, FILE *out);
/* The tables as JSON; owned. */
json_t *ctl_help_json(const struct ctl_command *commands);
/*
 * What could stand where the last of `words` is being typed: one candidate a line. A line ":file"
 * means any file, ":node", ":upstream" and ":origin" those of the farm.
 */
void ctl_help_complete(const struct ctl_command *commands, const struct ctl_list *words, FILE *out);

#endif
