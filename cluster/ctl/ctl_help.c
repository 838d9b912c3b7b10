/* What weirctl says of itself, from its tables. */
#include "ctl_line.h"

#include <string.h>

#define LINE   100
#define INDENT 30

/* ---- one option ---- */

/* "  -s, --socket PATH" */
static int option_head(const struct ctl_option_text *t, char out[96])
{
    char letter[8] = "    ";

    if (t->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", t->letter);
    return snprintf(out, 96, "  %s--%s%s%s", letter, t->name, t->argument != NULL ? " " : "",
                    t->argument != NULL ? t->argument : "");
}

/* Words into lines from column `from` on; the cursor stands at column `at`. */
static void wrap(FILE *out, const char *text, int at, int from)
{
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");

        if (at + 1 + len > LINE && at > from) {
            fprintf(out, "\n%*s", from, "");
            at = from;
        } else if (at > from) {
            putc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", len, text);
        at += len;
        text += len + (text[len] == ' ');
    }
    putc('\n', out);
}

static void print_option(FILE *out, enum ctl_option_id id)
{
    const struct ctl_option_text *t = ctl_option_text(id);
    char head[96];
    int len = option_head(t, head);

    fputs(head, out);
    if (len + 2 > INDENT)
        fprintf(out, "\n%*s", INDENT, "");
    else
        fprintf(out, "%*s", INDENT - len, "");
    wrap(out, t->help, INDENT, INDENT);
}

static void print_options(FILE *out, uint64_t options)
{
    for (int i = 0; i < CTL_OPTIONS; i++)
        if ((options >> i & 1) != 0)
            print_option(out, (enum ctl_option_id)i);
}

/* ---- commands ---- */

static void print_name(FILE *out, const struct ctl_command *c)
{
    fprintf(out, "%s%s%s", c->group, c->name != NULL ? " " : "", c->name != NULL ? c->name : "");
}

/* A synopsis of several lines has the name before each. */
static void print_synopsis(FILE *out, const struct ctl_command *c)
{
    const char *line = c->synopsis != NULL ? c->synopsis : c->arguments;

    do {
        int len = (int)strcspn(line, "\n");

        fputs("weirctl ", out);
        print_name(out, c);
        fprintf(out, "%s%.*s\n", len > 0 ? " " : "", len, line);
        line += len + (line[len] == '\n');
    } while (*line != '\0');
}

static void print_command(FILE *out, const struct ctl_command *c)
{
    uint64_t own = c->options & ~CTL_EITHER, where = c->options & CTL_EITHER;

    print_synopsis(out, c);
    fprintf(out, "\n%s", c->help);
    if (own != 0)
        putc('\n', out);
    print_options(out, own);
    if ((where & CTL_NODE) == CTL_NODE && (where & CTL_BIT(REDIS)) != 0)
        fputs("\nA node, or Redis without any node:\n", out);
    else if (where != 0)
        fputs("\nWhom to ask:\n", out);
    print_options(out, where);
}

bool ctl_help_of(const struct ctl_command *commands, const struct ctl_list *words, FILE *out)
{
    unsigned shown = 0;

    for (const struct ctl_command *c = commands; c->group != NULL && words->count > 0; c++) {
        if (strcmp(words->at[0], c->group) != 0 ||
            (words->count > 1 && c->name != NULL && strcmp(words->at[1], c->name) != 0))
            continue;
        if (words->count > 1 && c->name == NULL && c[1].group != NULL &&
            strcmp(c[1].group, c->group) == 0)
            continue; /* a group's list, where one of the group was named */
        if (shown++ > 0)
            putc('\n', out);
        print_command(out, c);
    }
    return shown > 0;
}

void ctl_help_all(const struct ctl_command *commands, FILE *out)
{
    fputs("weirctl - see and steer the nodes of a weir farm\n\n", out);
    for (const struct ctl_command *c = commands; c->group != NULL; c++) {
        char head[80];
        int len;

        if (c->summary == NULL)
            continue;
        len = snprintf(head, sizeof head, "  weirctl %s%s%s%s%.40s", c->group,
                       c->name != NULL ? " " : "", c->name != NULL ? c->name : "",
                       c->arguments[0] != '\0' ? " " : "", c->arguments);
        fprintf(out, "%s%*s%s\n", head, len < 46 ? 46 - len : 1, "", c->summary);
    }
    putc('\n', out);
    print_options(out, CTL_EVERY | CTL_BIT(SOCKET) | CTL_BIT(NODE) | CTL_BIT(TOKEN_FILE));
    fputs("\nWithout --socket: $WEIR_SOCKET, else /run/weir/admin.sock, "
          "$XDG_RUNTIME_DIR/weir/admin.sock,\n/tmp/weir-UID/admin.sock. status, nodes, origins, "
          "words and what is said go without any node too,\nstraight to Redis: --config FILE.\n"
          "\nExit status: 0 fine, 1 degraded or nothing found, 2 down or the node cannot, "
          "3 usage or nobody to ask.\n",
          out);
}

/* ---- for programs ---- */

static json_t *option_json(enum ctl_option_id id)
{
    const struct ctl_option_text *t = ctl_option_text(id);
    char letter[2] = {t->letter, '\0'};

    return json_pack("{s:s, s:s*, s:s*, s:s*, s:s}", "name", t->name, "letter",
                     t->letter != 0 ? letter : NULL, "argument", t->argument, "values", t->values,
                     "help", t->help);
}

static json_t *names_json(uint64_t options)
{
    json_t *out = json_array();

    for (int i = 0; i < CTL_OPTIONS; i++)
        if ((options >> i & 1) != 0)
            json_array_append_new(out, json_string(ctl_option_text((enum ctl_option_id)i)->name));
    return out;
}

json_t *ctl_help_json(const struct ctl_command *commands)
{
    json_t *options = json_array(), *rows = json_array();

    for (int i = 0; i < CTL_OPTIONS; i++)
        json_array_append_new(options, option_json((enum ctl_option_id)i));
    for (const struct ctl_command *c = commands; c->group != NULL; c++)
        json_array_append_new(rows,
                              json_pack("{s:s, s:s*, s:s, s:o, s:s*}", "group", c->group, "name",
                                        c->name, "arguments", c->arguments, "options",
                                        names_json(c->options | CTL_EVERY), "summary", c->summary));
    return json_pack("{s:o*, s:o*}", "options", options, "commands", rows);
}

/* ---- completion ---- */

static bool begins(const char *word, const char *with)
{
    return strncmp(word, with, strlen(with)) == 0;
}

static enum ctl_option_id option_named(const char *word)
{
    for (int i = 0; i < CTL_OPTIONS; i++) {
        const struct ctl_option_text *t = ctl_option_text((enum ctl_option_id)i);

        if ((begins(word, "--") && strcmp(word + 2, t->name) == 0) ||
            (t->letter != 0 && word[0] == '-' && word[1] == t->letter && word[2] == '\0'))
            return (enum ctl_option_id)i;
    }
    return CTL_OPTIONS;
}

static void candidates(FILE *out, const char *values, const char *typed)
{
    while (*values != '\0') {
        int len = (int)strcspn(values, " ");

        if (len == 4 && strncmp(values, "FILE", 4) == 0)
            fputs(":file\n", out);
        else if (values[0] == ':' ||
                 ((size_t)len >= strlen(typed) && strncmp(values, typed, strlen(typed)) == 0))
            fprintf(out, "%.*s\n", len, values);
        values += len + (values[len] == ' ');
    }
}

static void complete_options(FILE *out, uint64_t options, const char *typed)
{
    for (int i = 0; i < CTL_OPTIONS; i++) {
        const char *name = ctl_option_text((enum ctl_option_id)i)->name;

        if ((options >> i & 1) != 0 && begins("--", typed))
            fprintf(out, "--%s\n", name);
        else if ((options >> i & 1) != 0 && begins(typed, "--") && begins(name, typed + 2))
            fprintf(out, "--%s\n", name);
    }
}

/* What stands at the argument of that number: UPSTREAM, URL, [NODE] ... */
static void complete_argument(FILE *out, const char *arguments, unsigned at)
{
    while (at-- > 0) {
        arguments += strcspn(arguments, " ");
        arguments += strspn(arguments, " ");
    }
    arguments += *arguments == '[';
    if (begins(arguments, "NODE"))
        fputs(":node\n", out);
    else if (begins(arguments, "UPSTREAM"))
        fputs(":upstream\n", out);
    else if (begins(arguments, "URL"))
        fputs(":origin\n", out);
}

/* The words that are no options and no values of options, but the last. */
static void plain_words(const struct ctl_list *words, struct ctl_list *out)
{
    out->count = 0;
    for (unsigned i = 0; i + 1 < words->count; i++) {
        if (words->at[i][0] != '-') {
            out->at[out->count++] = words->at[i];
        } else {
            enum ctl_option_id id = option_named(words->at[i]);

            i += id < CTL_OPTIONS && ctl_option_text(id)->argument != NULL;
        }
    }
}

static void complete_commands(const struct ctl_command *commands, const struct ctl_list *before,
                              const char *typed, FILE *out)
{
    const char *last = "";

    for (const struct ctl_command *c = commands; c->group != NULL; c++) {
        const char *word = before->count == 0 ? c->group : c->name;

        if (word == NULL || !begins(word, typed) || strcmp(word, last) == 0 ||
            (before->count == 1 && strcmp(c->group, before->at[0]) != 0))
            continue;
        fprintf(out, "%s\n", word);
        last = word;
    }
}

static void complete_rest(const struct ctl_command *commands, const struct ctl_list *before,
                          const char *typed, FILE *out)
{
    const struct ctl_command *found = NULL;
    unsigned names;

    for (const struct ctl_command *c = commands; c->group != NULL && before->count > 0; c++) {
        if (strcmp(c->group, before->at[0]) != 0)
            continue;
        if (c->name == NULL ? found == NULL
                            : before->count > 1 && strcmp(c->name, before->at[1]) == 0)
            found = c;
    }
    if (found == NULL) {
        if (typed[0] == '-')
            complete_options(out, CTL_EVERY | CTL_NODE, typed);
        return;
    }
    names = found->name != NULL ? 2 : 1;
    if (before->count >= names && typed[0] != '-')
        complete_argument(out, found->arguments, before->count - names);
    if (typed[0] == '-')
        complete_options(out, found->options | CTL_EVERY, typed);
}

void ctl_help_complete(const struct ctl_command *commands, const struct ctl_list *words, FILE *out)
{
    const char *typed = words->count > 0 ? words->at[words->count - 1] : "";
    enum ctl_option_id before = CTL_OPTIONS;
    struct ctl_list plain;

    if (words->count > 1)
        before = option_named(words->at[words->count - 2]);
    if (before < CTL_OPTIONS && ctl_option_text(before)->argument != NULL) {
        if (ctl_option_text(before)->values != NULL)
            candidates(out, ctl_option_text(before)->values, typed);
        return;
    }
    plain_words(words, &plain);
    if (plain.count < 2 && typed[0] != '-')
        complete_commands(commands, &plain, typed, out);
    complete_rest(commands, &plain, typed, out);
}
