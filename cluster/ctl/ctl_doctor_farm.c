/* weirctl doctor, of the nodes of the farm: what they have written into Redis, and what in it shows
 * that something is set up wrongly. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "ctl.h"
#include "ctl_direct.h"
#include "ctl_doctor_farm.h"
#include "ctl_text.h"
#include "settings.h"

/* What a fault of the judgement (docs/api.md) means to who sets farms up. */
static const struct advice {
    const char *code, *level, *what, *why, *advice;
} advices[] = {
    {"twin", "wrong", "two live nodes have one id",
     "Words for one of them reach both, and each hides the other's votes and its record.",
     "Give each node a node.id of its own, or hosts names of their own."},
    {"clock", "wrong", "a clock is more than 2 s off the farm's",
     "Ages and dates in responses are wrong by as much: Date, Age, and what they make stale.",
     "Let chrony or systemd-timesyncd set the clock."},
    {"config_drift", "wrong", "a node has another configuration than most",
     "The same request is answered in different ways, depending on where it arrives.",
     "weirctl config drift tells which; bring the file there and weirctl reload NODE."},
    {"reload_failed", "wrong", "a node has refused its new configuration",
     "It goes on with the old one, until it is started anew: then it does not start.",
     "weirctl config drift tells why; weir check FILE finds it before a reload."},
    {"node_silent", "wrong", "a node beats, but its record cannot be read",
     "Nobody sees its load, its origins, or whether a reload has worked.",
     "It may run another version, or lack the right to write; see its error log."},
    {"hook_failed", "wrong", "a hook has failed",
     "DNS or BGP may send clients to a node that is not ready, or none to one that is.", NULL},
    {"certificate_expired", "wrong", "a certificate has expired",
     "Clients refuse to connect to the names it is for.",
     "weirctl tls tells which; put a new one in its place and weirctl reload NODE."},
    {"certificate_expires", "wrong", "a certificate expires within 14 days",
     "Whatever renews it should have done so by now.",
     "weirctl tls tells which; put a new one in its place and weirctl reload NODE."},
    {"version", "note", "nodes run different versions", "That is what an upgrade looks like.",
     NULL},
};

#define ADVICES (sizeof advices / sizeof advices[0])

static void add(json_t *findings, const struct advice *a, json_t *nodes)
{
    json_array_append_new(findings, json_pack("{s:s, s:s, s:s, s:o, s:s, s:s*}", "level", a->level,
                                              "id", a->code, "what", a->what, "nodes", nodes, "why",
                                              a->why, "advice", a->advice));
}

static void add_by_faults(json_t *findings, const json_t *farm)
{
    for (size_t k = 0; k < ADVICES; k++) {
        json_t *where = json_array();
        const json_t *fault;
        size_t i;

        json_array_foreach(json_object_get(farm, "faults"), i, fault)
        {
            if (strcmp(ctl_str(fault, "code"), advices[k].code) == 0)
                json_array_append(where, json_object_get(fault, "where"));
        }
        if (json_array_size(where) > 0)
            add(findings, &advices[k], where);
        else
            json_decref(where);
    }
}

/* What has no valid seal was written with another secret, or by somebody who has none. */
static void add_forged(json_t *findings, const json_t *farm)
{
    static const struct advice forged = {
        "secret", "wrong", "something in the farm's Redis is not sealed with this farm's secret",
        "A node with another farm.secret_file is no member, and its words and votes count nothing; "
        "or somebody else writes there.",
        "Compare the files of all nodes (sha256sum); see who may log in to Redis."};
    static const struct advice nobody = {"nobody", "note", "no node is alive",
                                         "There is nothing "
                                         "to be said of nodes.",
                                         NULL};

    if (ctl_int(farm, "members", "forged") + ctl_int(farm, "words_state", "forged") > 0)
        add(findings, &forged, json_array());
    else if (json_array_size(json_object_get(farm, "nodes")) == 0)
        add(findings, &nobody, json_array());
}

/* Of the node whose configuration this is; where systemd gives the folder, only the node knows. */
static void add_state_dir(json_t *findings, const char *file)
{
    static const struct advice none = {
        "state_dir", "note", "node.state_dir is off",
        "Started while Redis is away, this node does not know what operators have said: it uses "
        "origins that they have taken out.",
        "Name a folder that the node may write to, or leave it to systemd (StateDirectory=)."};
    static const struct advice missing = {
        "state_dir", "wrong", "the folder of node.state_dir is not there",
        "Started while Redis is away, this node does not know what operators have said: it uses "
        "origins that they have taken out.",
        "Make it, for the user that the node runs as."};
    struct config_errors errors = {0};
    struct settings *s = config_load(file, &errors);
    struct stat st;

    if (s != NULL && s->state_dir[0] == '\0')
        add(findings, &none, json_array());
    else if (s != NULL && strcmp(s->state_dir, "auto") != 0 &&
             (stat(s->state_dir, &st) != 0 || !S_ISDIR(st.st_mode)))
        add(findings, &missing, json_array());
    config_errors_free(&errors);
    settings_unref(s);
}

/* ---- showing ---- */

static void print_row(const char *name, const char *text)
{
    if (text[0] == '\0')
        return;
    printf("    %-9s ", name);
    ctl_put(stdout, text);
    putchar('\n');
}

static void print_where(const json_t *nodes)
{
    const json_t *node;
    size_t i;

    if (json_array_size(nodes) == 0)
        return;
    printf("    %-9s ", "where");
    json_array_foreach(nodes, i, node)
    {
        fputs(i > 0 ? ", " : "", stdout);
        ctl_put(stdout, json_is_string(node) ? json_string_value(node) : "?");
    }
    putchar('\n');
}

static void print_finding(const struct ctl_options *o, const json_t *f)
{
    const char *level = ctl_str(f, "level");
    char padded[16];

    snprintf(padded, sizeof padded, "  %-7.7s ", level);
    putchar('\n');
    ctl_paint(stdout, o->colours, strcmp(level, "note") == 0 ? CTL_DIM : CTL_YELLOW, padded);
    ctl_put(stdout, ctl_str(f, "what"));
    putchar('\n');
    print_where(json_object_get(f, "nodes"));
    print_row("why", ctl_str(f, "why"));
    print_row("change", ctl_str(f, "advice"));
}

static void print_all(const struct ctl_options *o, const json_t *farm, const json_t *findings)
{
    const json_t *f;
    size_t i;

    putchar('\n');
    ctl_paint(stdout, o->colours, CTL_BOLD, "farm");
    printf("    ");
    ctl_put(stdout, ctl_str(farm, "farm"));
    printf(": %zu nodes\n", json_array_size(json_object_get(farm, "nodes")));
    json_array_foreach(findings, i, f) print_finding(o, f);
    if (json_array_size(findings) == 0)
        puts("\n  nothing is wrong");
}

/* ---- the examination ---- */

static enum ctl_exit status_of(const json_t *findings)
{
    const json_t *f;
    size_t i;

    json_array_foreach(findings, i, f)
    {
        if (strcmp(ctl_str(f, "level"), "note") != 0)
            return CTL_DEGRADED;
    }
    return CTL_FINE;
}

/* As the node logs in: --user of doctor is one who may read settings, not what nodes write. */
static enum ctl_exit read_farm(const struct ctl_options *o, const char *config, json_t **farm)
{
    struct ctl_options as_node = *o;

    if (o->redis == NULL) {
        as_node.config = config;
        as_node.user = as_node.password_file = NULL;
    }
    return ctl_direct_farm(&as_node, farm);
}

enum ctl_exit ctl_doctor_farm(const struct ctl_options *o, const char *config, json_t *all)
{
    json_t *findings = json_array(), *farm;
    enum ctl_exit status = read_farm(o, config, &farm);

    if (status != CTL_FINE) {
        json_array_append_new(all, json_pack("{s:s, s:s}", "role", "farm", "error",
                                             "what its nodes write cannot be read"));
        json_decref(findings);
        return CTL_DEGRADED;
    }
    add_by_faults(findings, farm);
    add_forged(findings, farm);
    if (o->redis == NULL)
        add_state_dir(findings, config);
    status = status_of(findings);
    if (!o->json)
        print_all(o, farm, findings);
    json_array_append_new(all, json_pack("{s:s, s:s, s:O}", "role", "farm", "farm",
                                         ctl_str(farm, "farm"), "findings", findings));
    json_decref(findings);
    json_decref(farm);
    return status;
}
