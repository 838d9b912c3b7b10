/* What could be typed next: from the tables, and names of nodes, upstreams and origins from the
 * farm itself, where a node answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_farm.h"
#include "ctl_line.h"
#include "ctl_text.h"

struct names {
    const char *typed;
    const char *upstream; /* of ":origin": the word before; NULL */
    json_t *farm;         /* asked for once */
};

static void offer(const struct names *n, const char *name)
{
    if (name[0] == '\0' || strncmp(name, n->typed, strlen(n->typed)) != 0)
        return;
    ctl_put(stdout, name);
    putchar('\n');
}

static void offer_nodes(const struct names *n)
{
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(n->farm, "nodes"), i, node) offer(n, ctl_str(node, "id"));
}

/* Origins of one upstream stand together, so each upstream is offered once. */
static void offer_origins(const struct names *n, bool upstreams)
{
    const char *last = "";
    const json_t *origin;
    size_t i;

    json_array_foreach(json_object_get(n->farm, "origins"), i, origin)
    {
        const char *upstream = ctl_str(origin, "upstream");

        if (upstreams && strcmp(upstream, last) != 0)
            offer(n, upstream);
        if (!upstreams && (n->upstream == NULL || strcmp(upstream, n->upstream) == 0))
            offer(n, ctl_str(origin, "url"));
        last = upstream;
    }
}

/* The node that the words name, or the one that is found; what it complains is not for the person
 * who types. */
static void ask(struct names *n, const struct ctl_list *words)
{
    struct ctl_options o = {.complaints = fopen("/dev/null", "we")};

    for (unsigned i = 0; i + 1 < words->count; i++)
        if (strcmp(words->at[i], "-s") == 0 || strcmp(words->at[i], "--socket") == 0)
            o.socket = words->at[i + 1];
    if (o.complaints == NULL)
        return;
    ctl_fetch(&o, "GET", "/v1/farm", NULL, &n->farm);
    fclose(o.complaints);
}

static void offer_line(struct names *n, const struct ctl_list *words, const char *line)
{
    if (line[0] != ':' || strcmp(line, ":file") == 0) {
        puts(line);
        return;
    }
    if (n->farm == NULL)
        ask(n, words);
    if (strcmp(line, ":node") == 0)
        offer_nodes(n);
    else
        offer_origins(n, strcmp(line, ":upstream") == 0);
}

enum ctl_exit ctl_complete(int count, char *const *argv)
{
    struct ctl_list words = {.count = 0};
    struct names n = {.typed = ""};
    char *text = NULL, *rest, *line;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    for (int i = 0; i < count && words.count < CTL_LIST_MAX; i++)
        words.at[words.count++] = argv[i];
    if (out == NULL)
        return CTL_DOWN;
    ctl_help_complete(ctl_commands, &words, out);
    fclose(out);
    if (words.count > 0)
        n.typed = words.at[words.count - 1];
    if (words.count > 1)
        n.upstream = words.at[words.count - 2];
    for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
        if (line[0] != '\0')
            offer_line(&n, &words, line);
    json_decref(n.farm);
    free(text); /* open_memstream's */
    return CTL_FINE;
}
