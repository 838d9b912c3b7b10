/* The farm: status, nodes, origins, words, limits, config; from a node, or from Redis itself. */
#include "ctl_farm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl_direct.h"
#include "ctl_view.h"

#define WIDTH_LEAST 40

struct ctl_look ctl_look_at(FILE *out, bool colours)
{
    struct ctl_look look = {.colours = colours};
    const char *columns = getenv("COLUMNS");
    struct winsize size;

    if (isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        look.width = size.ws_col;
    else if (columns != NULL && atoi(columns) > 0)
        look.width = (unsigned)atoi(columns);
    if (look.width > 0 && look.width < WIDTH_LEAST)
        look.width = WIDTH_LEAST;
    return look;
}

bool ctl_is_direct(const struct ctl_options *o)
{
    return o->config != NULL || o->redis != NULL;
}

enum ctl_exit ctl_farm(const struct ctl_options *o, json_t **farm)
{
    enum ctl_exit status =
        ctl_is_direct(o) ? ctl_direct_farm(o, farm) : ctl_fetch(o, "GET", "/v1/farm", NULL, farm);

    if (status != CTL_FINE || json_is_object(*farm))
        return status;
    fputs("weirctl: the node's answer makes no sense\n",
          o->complaints != NULL ? o->complaints : stderr);
    json_decref(*farm);
    *farm = NULL;
    return CTL_USAGE;
}

/* The part of the farm that a list is of, and what is wrong with it. */
static void print_part(const json_t *farm, const char *part, enum ctl_concern about)
{
    static const char *const states[] = {"fine", "degraded", "down"};
    json_t *out =
        json_pack("{s:s, s:o*, s:O*}", "status", states[ctl_view_worst(farm, about)], "faults",
                  ctl_view_faults(farm, about), part, json_object_get(farm, part));

    ctl_print_json(out);
    json_decref(out);
}

static void put_faults(const struct ctl_look *look, const json_t *farm, enum ctl_concern about)
{
    json_t *faults = ctl_view_faults(farm, about);

    if (json_array_size(faults) > 0)
        putchar('\n');
    ctl_view_fault_list(stdout, look, faults);
    json_decref(faults);
}

/* ---- the commands ---- */

enum ctl_exit ctl_status(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *farm;
    enum ctl_exit status = ctl_farm(o, &farm);

    if (status != CTL_FINE)
        return status;
    if (o->json)
        ctl_print_json(farm);
    else
        ctl_view_status(stdout, &look, farm);
    status = (enum ctl_exit)ctl_view_worst(farm, CTL_ABOUT_ALL);
    json_decref(farm);
    return status;
}

enum ctl_exit ctl_nodes(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *farm;
    enum ctl_exit status = ctl_farm(o, &farm);

    if (status != CTL_FINE)
        return status;
    if (o->json) {
        print_part(farm, "nodes", CTL_ABOUT_NODES);
    } else {
        ctl_view_nodes(stdout, &look, farm);
        put_faults(&look, farm, CTL_ABOUT_NODES);
    }
    status = (enum ctl_exit)ctl_view_worst(farm, CTL_ABOUT_NODES);
    json_decref(farm);
    return status;
}

/* upstream: NULL, or the only one that is wanted. */
static void keep_upstream(const json_t *farm, const char *upstream)
{
    json_t *origins = json_object_get(farm, "origins");

    for (size_t i = json_array_size(origins); upstream != NULL && i-- > 0;)
        if (strcmp(ctl_str(json_array_get(origins, i), "upstream"), upstream) != 0)
            json_array_remove(origins, i);
}

enum ctl_exit ctl_origins(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *farm;
    enum ctl_exit status = ctl_farm(o, &farm);

    if (status != CTL_FINE)
        return status;
    if (o->json) {
        keep_upstream(farm, o->upstream);
        print_part(farm, "origins", CTL_ABOUT_ORIGINS);
    } else {
        ctl_view_origins(stdout, &look, farm, o->upstream);
        put_faults(&look, farm, CTL_ABOUT_ORIGINS);
    }
    status = (enum ctl_exit)ctl_view_worst(farm, CTL_ABOUT_ORIGINS);
    json_decref(farm);
    return status;
}

enum ctl_exit ctl_words(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *farm, *words;
    enum ctl_exit status = ctl_farm(o, &farm);

    if (status != CTL_FINE)
        return status;
    words = json_pack("{s:O*, s:O*}", "words", json_object_get(farm, "words"), "state",
                      json_object_get(farm, "words_state"));
    if (o->json)
        ctl_print_json(words);
    else
        ctl_view_words(stdout, &look, words, (int64_t)time(NULL));
    status = (enum ctl_exit)ctl_view_worst(farm, CTL_ABOUT_WORDS);
    json_decref(words);
    json_decref(farm);
    return status;
}

enum ctl_exit ctl_limits(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *limits;
    enum ctl_exit status = ctl_call(o, "GET", "/v1/limits", NULL, &limits);

    if (status == CTL_FINE && !o->json)
        ctl_view_limits(stdout, &look, limits);
    json_decref(limits);
    return status;
}

enum ctl_exit ctl_tls(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *tls;
    enum ctl_exit status = ctl_call(o, "GET", "/v1/tls", NULL, &tls);

    if (status == CTL_FINE && !o->json)
        ctl_view_certificates(stdout, &look, tls);
    if (status == CTL_FINE && ctl_certificates_trouble(tls))
        status = CTL_DEGRADED;
    json_decref(tls);
    return status;
}

enum ctl_exit ctl_tls_acme(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *acme;
    enum ctl_exit status = ctl_call(o, "GET", "/v1/tls/acme", NULL, &acme);

    if (status == CTL_FINE && !o->json)
        ctl_view_acme(stdout, &look, acme, (int64_t)time(NULL));
    json_decref(acme);
    return status;
}

enum ctl_exit ctl_tls_tickets(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *tickets;
    enum ctl_exit status = ctl_call(o, "GET", "/v1/tls/tickets", NULL, &tickets);

    if (status == CTL_FINE && !o->json)
        ctl_view_tickets(stdout, &look, tickets);
    json_decref(tickets);
    return status;
}

/* The form of the file is YAML; JSON is YAML too. */
enum ctl_exit ctl_config(const struct ctl_options *o)
{
    json_t *config;
    enum ctl_exit status = ctl_call(o, "GET", "/v1/config", NULL, &config);

    if (status == CTL_FINE && !o->json) {
        printf("# hash ");
        ctl_put(stdout, ctl_str(config, "hash"));
        printf(", file ");
        ctl_put(stdout, ctl_str(config, "file")[0] != '\0' ? ctl_str(config, "file") : "none");
        putchar('\n');
        ctl_print_json(json_object_get(config, "config"));
    }
    json_decref(config);
    return status;
}

enum ctl_exit ctl_config_drift(const struct ctl_options *o)
{
    struct ctl_look look = ctl_look_at(stdout, o->colours);
    json_t *farm, *node;
    enum ctl_exit status = ctl_farm(o, &farm);
    size_t i;

    if (status != CTL_FINE)
        return status;
    if (o->json)
        print_part(farm, "nodes", CTL_ABOUT_NODES);
    else
        ctl_view_drift(stdout, &look, farm);
    json_array_foreach(json_object_get(farm, "nodes"), i, node)
    {
        if (json_is_true(json_object_get(node, "drift")))
            status = CTL_DEGRADED;
    }
    json_decref(farm);
    return status;
}
