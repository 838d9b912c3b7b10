/* Pictures of samples/farm.json, compared with those that were looked at and found good:
 * WEIR_NEW_PICTURES=1 writes them anew, to be looked at again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctl_view.h"

static json_t *sample(void)
{
    json_t *farm = json_load_file(WEIR_SOURCE_DIR "/cluster/ctl/samples/farm.json", 0, NULL);

    assert_non_null(farm);
    return farm;
}

struct picture {
    FILE *out;
    char *text;
    size_t len;
};

static FILE *begin(struct picture *p)
{
    p->out = open_memstream(&p->text, &p->len);
    assert_non_null(p->out);
    return p->out;
}

static void compare(struct picture *p, const char *name)
{
    char path[512], *good = calloc(1, 65536);
    FILE *f;

    fclose(p->out);
    snprintf(path, sizeof path, "%s/cluster/ctl/samples/%s.txt", WEIR_SOURCE_DIR, name);
    if (getenv("WEIR_NEW_PICTURES") != NULL) {
        f = fopen(path, "we");
        assert_non_null(f);
        fwrite(p->text, 1, p->len, f);
        fclose(f);
    }
    f = fopen(path, "re");
    assert_non_null(f);
    assert_true(fread(good, 1, 65535, f) > 0);
    fclose(f);
    assert_string_equal(p->text, good);
    free(good);
    free(p->text);
}

static void status_fits_80_columns(void **state)
{
    struct ctl_look look = {.width = 80};
    json_t *farm = sample();
    struct picture p;

    (void)state;
    ctl_view_status(begin(&p), &look, farm);
    compare(&p, "status-80");
    json_decref(farm);
}

static void status_uses_a_wide_terminal(void **state)
{
    struct ctl_look look = {.width = 160};
    json_t *farm = sample();
    struct picture p;

    (void)state;
    ctl_view_status(begin(&p), &look, farm);
    compare(&p, "status-160");
    json_decref(farm);
}

static void colours_stand_for_states(void **state)
{
    struct ctl_look look = {.width = 80, .colours = true};
    json_t *farm = sample();
    struct picture p;

    (void)state;
    ctl_view_status(begin(&p), &look, farm);
    compare(&p, "status-colours");
    json_decref(farm);
}

static void lists_are_whole(void **state)
{
    struct ctl_look look = {.width = 120};
    json_t *farm = sample();
    struct picture p;
    FILE *out = begin(&p);

    (void)state;
    ctl_view_nodes(out, &look, farm);
    ctl_view_origins(out, &look, farm, "app");
    ctl_view_origins(out, &look, farm, "another");
    ctl_view_words(out, &look, farm, 1800000000);
    ctl_view_drift(out, &look, farm);
    compare(&p, "lists-120");
    json_decref(farm);
}

static void top_has_rates_order_and_a_height(void **state)
{
    struct ctl_look look = {.width = 100};
    struct ctl_top top = {.height = 14, .sort = "requests", .interval_ms = 2000};
    json_t *farm = sample(), *before = sample();
    struct picture p;

    (void)state;
    json_object_set_new(json_array_get(json_object_get(before, "origins"), 1), "requests",
                        json_integer(500));
    ctl_view_rates(farm, before, 2000);
    ctl_view_top(begin(&p), &look, &top, farm);
    compare(&p, "top-100");
    json_decref(farm);
    json_decref(before);
}

static void a_filter_leaves_the_others_out(void **state)
{
    struct ctl_look look = {.width = 100};
    struct ctl_top top = {.filter = "N3", .interval_ms = 2000};
    json_t *farm = sample();
    struct picture p;

    (void)state;
    ctl_view_top(begin(&p), &look, &top, farm);
    fclose(p.out);
    assert_non_null(strstr(p.text, "  n3 "));
    assert_null(strstr(p.text, "  n2 "));
    assert_null(strstr(p.text, "ORIGIN"));
    free(p.text);
    json_decref(farm);
}

static void exit_statuses_follow_what_is_of_concern(void **state)
{
    json_t *farm = sample(), *faults;

    (void)state;
    assert_int_equal(ctl_view_worst(farm, CTL_ABOUT_ALL), 1);
    assert_int_equal(ctl_view_worst(farm, CTL_ABOUT_NODES), 1);
    assert_int_equal(ctl_view_worst(farm, CTL_ABOUT_WORDS), 0);
    faults = ctl_view_faults(farm, CTL_ABOUT_ORIGINS);
    assert_int_equal(json_array_size(faults), 1);
    json_array_append_new(json_object_get(farm, "faults"),
                          json_pack("{s:s, s:s}", "severity", "down", "code", "upstream_down"));
    assert_int_equal(ctl_view_worst(farm, CTL_ABOUT_ORIGINS), 2);
    assert_int_equal(ctl_view_worst(farm, CTL_ABOUT_NODES), 1);
    json_decref(faults);
    json_decref(farm);
}

static void counters_that_went_back_give_no_rate(void **state)
{
    json_t *farm = sample(), *before = sample();
    json_t *origin = json_array_get(json_object_get(farm, "origins"), 0);

    (void)state;
    json_object_set_new(origin, "requests", json_integer(3));
    ctl_view_rates(farm, before, 1000);
    assert_null(json_object_get(origin, "requests_per_s"));
    assert_true(json_real_value(json_object_get(origin, "failures_per_s")) == 0);
    json_decref(farm);
    json_decref(before);
}

static void limits_are_shown(void **state)
{
    static const char text[] =
        "{\"limits\": [{\"name\": \"api\", \"rate\": \"100/s\", \"burst\": 20, \"key\": "
        "[\"client\", \"field X-Key\"], \"allowed\": 12345, \"refused\": 7, \"local_share\": "
        "true}], \"top\": [{\"limit\": \"api\", \"key\": \"192.0.2.7/32\", \"refused\": 4.5}]}";
    struct ctl_look look = {.width = 100};
    json_t *limits = json_loads(text, 0, NULL);
    struct picture p;

    (void)state;
    ctl_view_limits(begin(&p), &look, limits);
    compare(&p, "limits-100");
    json_decref(limits);
}

static void ticket_keys_are_shown(void **state)
{
    static const char text[] =
        "{\"enabled\": true, \"now\": 100000, \"refused\": 2, \"keys\": ["
        "{\"name\": \"00112233aabbccdd\", \"kind\": \"stored\", \"use\": \"previous\", \"issues\": "
        "false, \"begins\": 57600, \"ends\": 115200},"
        "{\"name\": \"0123456789abcdef\", \"kind\": \"stored\", \"use\": \"current\", \"issues\": "
        "true, \"begins\": 86400, \"ends\": 144000},"
        "{\"name\": \"fedcba9876543210\", \"kind\": \"derived\", \"use\": \"next\", \"issues\": "
        "false, \"begins\": 100100, \"ends\": 100190}]}";
    struct ctl_look look = {.width = 100};
    json_t *tickets = json_loads(text, 0, NULL), *none = json_loads("{}", 0, NULL);
    struct picture p;

    (void)state;
    ctl_view_tickets(begin(&p), &look, tickets);
    compare(&p, "tickets-100");
    ctl_view_tickets(begin(&p), &look, none);
    compare(&p, "tickets-none");
    json_decref(tickets);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_fits_80_columns),
        cmocka_unit_test(status_uses_a_wide_terminal),
        cmocka_unit_test(colours_stand_for_states),
        cmocka_unit_test(lists_are_whole),
        cmocka_unit_test(top_has_rates_order_and_a_height),
        cmocka_unit_test(a_filter_leaves_the_others_out),
        cmocka_unit_test(exit_statuses_follow_what_is_of_concern),
        cmocka_unit_test(counters_that_went_back_give_no_rate),
        cmocka_unit_test(limits_are_shown),
        cmocka_unit_test(ticket_keys_are_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
