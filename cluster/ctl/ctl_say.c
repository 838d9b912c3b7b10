/* What operators say: of origins, upstreams and nodes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_direct.h"
#include "ctl_farm.h"
#include "ctl_text.h"

#define WEIGHT_MAX 1000 /* words.h */

enum ctl_exit ctl_say(const struct ctl_options *o, json_t *word, json_t **answer)
{
    if (o->reason != NULL)
        json_object_set_new(word, "reason", json_string(o->reason));
    if (o->for_ms > 0)
        json_object_set_new(word, "for_s", json_integer((json_int_t)((o->for_ms + 999) / 1000)));
    return ctl_is_direct(o) ? ctl_direct_say(o, word, answer)
                            : ctl_fetch(o, "POST", "/v1/words", word, answer);
}

static const char *outcome_text(const char *outcome)
{
    if (strcmp(outcome, "said") == 0)
        return "said, for the whole farm";
    if (strcmp(outcome, "unconfirmed") == 0)
        return "said, but no replica of Redis has it yet: it could still get lost";
    if (strcmp(outcome, "here_only") == 0)
        return "in force on this node alone: Redis cannot be reached, the others will hear of it "
               "later";
    return outcome;
}

/* Prints what came of it; whether it is as it should be. */
static enum ctl_exit tell(const struct ctl_options *o, const json_t *answer)
{
    const char *outcome = ctl_str(answer, "outcome");

    if (o->json) {
        ctl_print_json(answer);
    } else {
        ctl_put(stdout, outcome_text(outcome));
        putchar('\n');
    }
    return strcmp(outcome, "said") == 0 ? CTL_FINE : CTL_DEGRADED;
}

static enum ctl_exit say(const struct ctl_options *o, json_t *word)
{
    json_t *answer = NULL;
    enum ctl_exit status = CTL_DOWN;

    if (word == NULL)
        fputs("weirctl: a text that is no UTF-8, or no memory\n", stderr);
    else
        status = ctl_say(o, word, &answer);
    if (status == CTL_FINE)
        status = tell(o, answer);
    json_decref(answer);
    json_decref(word);
    return status;
}

/* ---- origins ---- */

static enum ctl_exit say_of_origin(const struct ctl_options *o, const char *kind)
{
    return say(o, json_pack("{s:s, s:s, s:s, s:s}", "target", "origin", "name", o->arguments[0],
                            "url", o->arguments[1], "kind", kind));
}

enum ctl_exit ctl_origin_drain(const struct ctl_options *o)
{
    return say_of_origin(o, "drain");
}

enum ctl_exit ctl_origin_disable(const struct ctl_options *o)
{
    return say_of_origin(o, "disable");
}

enum ctl_exit ctl_origin_up(const struct ctl_options *o)
{
    return say_of_origin(o, "up");
}

enum ctl_exit ctl_origin_enable(const struct ctl_options *o)
{
    return say_of_origin(o, "nothing");
}

enum ctl_exit ctl_origin_weight(const struct ctl_options *o)
{
    char *end;
    long weight = strtol(o->arguments[2], &end, 10);

    if (strcmp(o->arguments[2], "default") == 0)
        return say(o, json_pack("{s:s, s:s, s:s, s:s, s:b}", "target", "origin", "name",
                                o->arguments[0], "url", o->arguments[1], "kind", "nothing",
                                "weight_only", 1));
    if (*end != '\0' || weight < 1 || weight > WEIGHT_MAX) {
        fputs("weirctl: a weight is 1 to 1000, or default\n", stderr);
        return CTL_USAGE;
    }
    return say(o,
               json_pack("{s:s, s:s, s:s, s:s, s:i}", "target", "origin", "name", o->arguments[0],
                         "url", o->arguments[1], "kind", "weight", "weight", (int)weight));
}

/* ---- upstreams ---- */

static enum ctl_exit say_of_upstream(const struct ctl_options *o, const char *kind)
{
    return say(o, json_pack("{s:s, s:s, s:s}", "target", "upstream", "name", o->arguments[0],
                            "kind", kind));
}

enum ctl_exit ctl_maintenance_on(const struct ctl_options *o)
{
    return say_of_upstream(o, "maintenance");
}

enum ctl_exit ctl_maintenance_off(const struct ctl_options *o)
{
    return say_of_upstream(o, "nothing");
}

/* ---- nodes ---- */

const char *ctl_this_node(const struct ctl_options *o, json_t **node, enum ctl_exit *status)
{
    const char *id;

    *node = NULL;
    *status = CTL_USAGE;
    if (ctl_is_direct(o)) {
        fputs("weirctl: say which node: no node is asked\n", stderr);
        return NULL;
    }
    *status = ctl_fetch(o, "GET", "/v1/node", NULL, node);
    id = json_string_value(json_object_get(*node, "id"));
    if (*status == CTL_FINE && id == NULL) {
        fputs("weirctl: the node does not tell its name\n", stderr);
        *status = CTL_DOWN;
    }
    return id;
}

static enum ctl_exit say_of_node(const struct ctl_options *o, const char *kind)
{
    enum ctl_exit status = CTL_FINE;
    json_t *node = NULL;
    const char *id = o->argument_count > 0 ? o->arguments[0] : ctl_this_node(o, &node, &status);

    if (id != NULL)
        status = say(o, json_pack("{s:s, s:s, s:s}", "target", "node", "name", id, "kind", kind));
    json_decref(node);
    return status;
}

/* This node is asked itself: then it works without Redis, and without a farm. */
static enum ctl_exit drain_this(const struct ctl_options *o)
{
    json_t *body = json_pack("{s:s*}", "reason", o->reason), *answer;
    enum ctl_exit status = ctl_call(o, "POST", "/v1/drain", body, &answer);

    if (status == CTL_FINE && !o->json)
        puts("draining: it ends when its clients have been served");
    json_decref(body);
    json_decref(answer);
    return status;
}

enum ctl_exit ctl_node_drain(const struct ctl_options *o)
{
    return o->argument_count > 0 || ctl_is_direct(o) ? say_of_node(o, "drain") : drain_this(o);
}

enum ctl_exit ctl_node_undrain(const struct ctl_options *o)
{
    return say_of_node(o, "nothing");
}

enum ctl_exit ctl_node_unready(const struct ctl_options *o)
{
    return say_of_node(o, "unready");
}

enum ctl_exit ctl_node_ready(const struct ctl_options *o)
{
    return say_of_node(o, "nothing");
}
