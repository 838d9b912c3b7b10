#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "doctor.h"
#include "weir/alloc.h"

/* What CONFIG GET says of a Redis that is as conf/redis has it, for each role. */
static const char cache[] =
    "maxmemory:1073741824\nmaxmemory-policy:allkeys-lfu\nappendonly:no\nappendfsync:everysec\nsave:"
    "\n"
    "cluster-node-timeout:2000\ncluster-require-full-coverage:no\n"
    "cluster-allow-reads-when-down:yes\ncluster-allow-pubsubshard-when-down:yes\n"
    "cluster-replica-validity-factor:0\nmin-replicas-to-write:0\nrepl-backlog-size:67108864\n"
    "lazyfree-lazy-eviction:yes\nlazyfree-lazy-expire:yes\nlazyfree-lazy-server-del:yes\n"
    "lazyfree-lazy-user-del:yes\nactivedefrag:no\ntimeout:0\nclient-output-buffer-limit:normal 0 0 "
    "0 "
    "slave 268435456 67108864 60 pubsub 33554432 8388608 60\n";

static const char good_info[] = "redis_version:7.0.15\nused_memory:1000000\nmaxmemory:1073741824\n"
                                "mem_fragmentation_ratio:1.1\naof_enabled:0\n"
                                "aof_last_write_status:ok\n";
static const char good_cluster[] = "cluster_state:ok\ncluster_slots_ok:16384\n";

static void set_up(struct doctor_report *r, enum doctor_role role)
{
    *r = (struct doctor_report){.role = role, .user = "weir", .clustered = true};
    assert_true(
        doctor_read_nodes(r,
                          weir_span_str("a 10.0.0.1:1@2 master - 0 0 1 connected 0-8191\n"
                                        "b 10.0.0.2:1@2 master - 0 0 2 connected 8192-16383\n"
                                        "c 10.0.0.3:1@2 slave a 0 0 1 connected\n"
                                        "d 10.0.0.4:1@2 slave b 0 0 2 connected\n"),
                          "10.0.0.1", false));
    for (size_t i = 0; i < r->node_count; i++) {
        struct doctor_node *n = &r->nodes[i];

        assert_true(doctor_read_lines(&r->arena, weir_span_str(good_info), &n->info));
        assert_true(doctor_read_lines(&r->arena, weir_span_str(good_cluster), &n->cluster));
        assert_true(doctor_read_lines(&r->arena, weir_span_str(cache), &n->settings));
        n->clock_known = true;
        for (size_t k = 0; k < doctor_right_count; k++)
            n->may[k] = doctor_rights[k].needed ? DOCTOR_MAY : DOCTOR_MAY_NOT;
    }
}

static void change(struct doctor_values *values, const char *name, const char *text)
{
    for (size_t i = 0; i < values->count; i++) {
        if (strcmp(values->at[i].name, name) == 0) {
            values->at[i].text = text;
            return;
        }
    }
    fail_msg("there is no %s", name);
}

static void change_all(struct doctor_report *r, const char *name, const char *text)
{
    for (size_t i = 0; i < r->node_count; i++)
        change(&r->nodes[i].settings, name, text);
}

static void as_state(struct doctor_report *r)
{
    change_all(r, "maxmemory-policy", "noeviction");
    change_all(r, "appendonly", "yes");
    change_all(r, "cluster-node-timeout", "5000");
    change_all(r, "min-replicas-to-write", "0");
}

static const struct doctor_finding *found(const struct doctor_report *r, const char *id)
{
    for (size_t i = 0; i < r->finding_count; i++) {
        if (strcmp(r->findings[i].id, id) == 0)
            return &r->findings[i];
    }
    return NULL;
}

/* The one finding there is. */
static const struct doctor_finding *only(struct doctor_report *r, const char *id)
{
    doctor_judge(r);
    for (size_t i = 0; i < r->finding_count; i++) {
        if (strcmp(r->findings[i].id, id) != 0)
            fail_msg("%s: %s", r->findings[i].id, r->findings[i].what);
    }
    assert_int_equal(r->finding_count, 1);
    assert_false(r->out_of_memory);
    assert_true(r->findings[0].why != NULL && r->findings[0].what != NULL);
    return &r->findings[0];
}

static void a_cache_as_it_should_be_has_no_findings(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    doctor_judge(&r);
    for (size_t i = 0; i < r.finding_count; i++)
        fail_msg("%s: %s", r.findings[i].id, r.findings[i].what);
    doctor_report_free(&r);
}

static void every_setting_is_judged_by_its_role(void **state)
{
    static const struct {
        enum doctor_role role;
        const char *name, *value;
        enum doctor_level level;
    } rows[] = {
        {DOCTOR_CACHE, "maxmemory", "0", DOCTOR_WRONG},
        {DOCTOR_CACHE, "maxmemory-policy", "noeviction", DOCTOR_WRONG},
        {DOCTOR_CACHE, "maxmemory-policy", "lfu", DOCTOR_WRONG},
        {DOCTOR_CACHE, "appendonly", "yes", DOCTOR_NOTE},
        {DOCTOR_CACHE, "save", "3600 1", DOCTOR_NOTE},
        {DOCTOR_CACHE, "cluster-node-timeout", "15000", DOCTOR_WRONG},
        {DOCTOR_CACHE, "cluster-node-timeout", "100", DOCTOR_WRONG},
        {DOCTOR_CACHE, "cluster-require-full-coverage", "yes", DOCTOR_WRONG},
        {DOCTOR_CACHE, "cluster-allow-reads-when-down", "no", DOCTOR_WRONG},
        {DOCTOR_CACHE, "cluster-allow-pubsubshard-when-down", "no", DOCTOR_WRONG},
        {DOCTOR_CACHE, "cluster-replica-validity-factor", "10", DOCTOR_NOTE},
        {DOCTOR_CACHE, "min-replicas-to-write", "1", DOCTOR_WRONG},
        {DOCTOR_CACHE, "repl-backlog-size", "1048576", DOCTOR_NOTE},
        {DOCTOR_CACHE, "timeout", "30", DOCTOR_WRONG},
        {DOCTOR_STATE, "maxmemory-policy", "allkeys-lru", DOCTOR_WRONG},
        {DOCTOR_STATE, "appendonly", "no", DOCTOR_WRONG},
        {DOCTOR_STATE, "appendfsync", "no", DOCTOR_WRONG},
        {DOCTOR_STATE, "cluster-node-timeout", "15000", DOCTOR_WRONG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_report r;
        const struct doctor_finding *f;

        set_up(&r, rows[i].role);
        if (rows[i].role == DOCTOR_STATE)
            as_state(&r);
        change(&r.nodes[1].settings, rows[i].name, rows[i].value);
        doctor_judge(&r);
        f = found(&r, rows[i].name);
        assert_non_null(f);
        assert_int_equal(f->level, rows[i].level);
        assert_int_equal(f->node_count, 1);
        assert_int_equal(f->nodes[0], 1);
        assert_non_null(strstr(f->command, "CONFIG SET "));
        assert_non_null(f->line);
        doctor_report_free(&r);
    }
}

static void what_all_nodes_have_alike_is_one_finding(void **state)
{
    struct doctor_report r;
    const struct doctor_finding *f;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    change_all(&r, "maxmemory-policy", "noeviction");
    f = only(&r, "maxmemory-policy");
    assert_int_equal(f->node_count, 4);
    assert_string_equal(f->what, "maxmemory-policy is noeviction, should be allkeys-lfu");
    assert_string_equal(f->command, "CONFIG SET maxmemory-policy allkeys-lfu");
    assert_string_equal(f->line, "maxmemory-policy allkeys-lfu");
    doctor_report_free(&r);
}

static void the_worst_comes_first(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    change_all(&r, "save", "1 1");
    change_all(&r, "maxmemory", "0");
    r.nodes[3].cluster.at[0].text = "fail";
    doctor_judge(&r);
    assert_int_equal(r.finding_count, 3);
    assert_int_equal(r.findings[0].level, DOCTOR_BROKEN);
    assert_int_equal(r.findings[1].level, DOCTOR_WRONG);
    assert_int_equal(r.findings[2].level, DOCTOR_NOTE);
    doctor_report_free(&r);
}

static void one_redis_for_both_is_worth_a_note(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_ONE);
    change_all(&r, "maxmemory-policy", "volatile-lfu");
    change_all(&r, "appendonly", "yes");
    assert_int_equal(only(&r, "shared")->level, DOCTOR_NOTE);
    doctor_report_free(&r);
}

static void a_plain_redis_is_not_measured_as_a_cluster(void **state)
{
    struct doctor_report r = {.role = DOCTOR_CACHE, .user = "weir"};
    struct doctor_node *n = doctor_add_node(&r, WEIR_SPAN_LIT("10.0.0.1"), 6379);

    (void)state;
    assert_true(doctor_read_lines(&r.arena, weir_span_str(cache), &n->settings));
    change(&n->settings, "cluster-node-timeout", "15000");
    change(&n->settings, "cluster-require-full-coverage", "yes");
    assert_int_equal(only(&r, "plain")->level, DOCTOR_NOTE);
    doctor_report_free(&r);
}

static void slots_without_an_owner_are_broken(void **state)
{
    struct doctor_report r;
    const struct doctor_finding *f;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    r.nodes[1].slots -= 10;
    f = only(&r, "coverage");
    assert_int_equal(f->level, DOCTOR_BROKEN);
    assert_string_equal(f->what, "10 of 16384 slots have no owner");
    assert_int_equal(f->node_count, 0);
    doctor_report_free(&r);
}

static void a_lost_master_is_broken_and_a_lost_replica_wrong(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    r.nodes[0].trouble = "connection refused";
    assert_int_equal(only(&r, "unreachable")->level, DOCTOR_BROKEN);
    doctor_report_free(&r);
    set_up(&r, DOCTOR_CACHE);
    r.nodes[3].failed = true;
    doctor_judge(&r);
    assert_int_equal(found(&r, "failed")->level, DOCTOR_WRONG);
    assert_int_equal(found(&r, "no-replica")->nodes[0], 1);
    doctor_report_free(&r);
}

static void a_replica_that_gets_nothing_is_wrong(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    assert_true(doctor_read_lines(&r.arena,
                                  weir_span_str("redis_version:7.0.15\nmaster_link_status:down\n"),
                                  &r.nodes[2].info));
    assert_int_equal(only(&r, "replication")->nodes[0], 2);
    doctor_report_free(&r);
}

static void replicas_on_the_machine_of_their_master_are_noted(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    r.nodes[2].host = r.nodes[0].host;
    assert_int_equal(only(&r, "same-host")->nodes[0], 0);
    doctor_report_free(&r);
}

static void writes_that_stop_with_one_replica_are_noted(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_STATE);
    as_state(&r);
    change_all(&r, "min-replicas-to-write", "1");
    assert_int_equal(only(&r, "min-replicas")->node_count, 2); /* the masters */
    doctor_report_free(&r);
}

static void an_old_redis_is_broken(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    for (size_t i = 0; i < r.node_count; i++)
        change(&r.nodes[i].info, "redis_version", "6.2.7");
    assert_int_equal(only(&r, "version")->level, DOCTOR_BROKEN);
    doctor_report_free(&r);
}

static void different_versions_are_noted(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    change(&r.nodes[2].info, "redis_version", "7.2.4");
    assert_non_null(strstr(only(&r, "versions")->what, "7.2.4"));
    doctor_report_free(&r);
}

static void memory_that_ends_is_wrong_and_broken_at_its_end(void **state)
{
    struct doctor_report r;

    (void)state;
    for (int full = 0; full < 2; full++) {
        set_up(&r, DOCTOR_STATE);
        as_state(&r);
        change_all(&r, "min-replicas-to-write", "1");
        change(&r.nodes[0].info, "used_memory", full ? "1073741825" : "1000000000");
        doctor_judge(&r);
        assert_int_equal(found(&r, "full")->level, full ? DOCTOR_BROKEN : DOCTOR_WRONG);
        doctor_report_free(&r);
    }
}

static void a_log_that_cannot_be_written_is_broken(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_STATE);
    as_state(&r);
    change(&r.nodes[0].info, "aof_last_write_status", "err");
    doctor_judge(&r);
    assert_int_equal(found(&r, "disk")->level, DOCTOR_BROKEN);
    doctor_report_free(&r);
}

static void scattered_memory_is_noted(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    change(&r.nodes[0].info, "mem_fragmentation_ratio", "1.9");
    change(&r.nodes[0].info, "used_memory", "900000000");
    assert_int_equal(only(&r, "activedefrag")->level, DOCTOR_NOTE);
    doctor_report_free(&r);
}

static void subscribers_need_a_limit_and_not_too_small_a_one(void **state)
{
    static const char *const bad[] = {"normal 0 0 0 slave 1 1 1 pubsub 0 0 0",
                                      "pubsub 1000 1000 60"};
    struct doctor_report r;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set_up(&r, DOCTOR_CACHE);
        change_all(&r, "client-output-buffer-limit", bad[i]);
        assert_int_equal(only(&r, "client-output-buffer-limit")->level, DOCTOR_WRONG);
        doctor_report_free(&r);
    }
}

static void lazyfree_settings_are_one_finding(void **state)
{
    struct doctor_report r;
    const struct doctor_finding *f;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    change_all(&r, "lazyfree-lazy-expire", "no");
    change_all(&r, "lazyfree-lazy-user-del", "no");
    f = only(&r, "lazyfree");
    assert_string_equal(f->what, "lazyfree-lazy-expire, lazyfree-lazy-user-del: not yes");
    assert_string_equal(f->command,
                        "CONFIG SET lazyfree-lazy-expire yes lazyfree-lazy-user-del yes");
    doctor_report_free(&r);
}

static void clocks_apart_are_wrong_if_it_is_certain(void **state)
{
    struct doctor_report r;
    const struct doctor_finding *f;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    r.nodes[1].clock_ms = 400;
    r.nodes[2].clock_ms = -300;
    r.nodes[2].clock_doubt_ms = 250;
    doctor_judge(&r);
    assert_int_equal(r.finding_count, 0);
    r.nodes[2].clock_doubt_ms = 5;
    f = only(&r, "clock");
    assert_int_equal(f->nodes[0], 1);
    assert_string_equal(f->what, "its clock is 0.7 s ahead of that of 10.0.0.3:1");
    doctor_report_free(&r);
}

static void missing_rights_are_broken_and_named(void **state)
{
    struct doctor_report r;
    const struct doctor_finding *f;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    for (size_t k = 0; k < doctor_right_count; k++) {
        if (strncmp(doctor_rights[k].words, "SPUBLISH", 8) == 0 ||
            strcmp(doctor_rights[k].words, "CLUSTER SLOTS") == 0)
            r.nodes[0].may[k] = DOCTOR_MAY_NOT;
    }
    f = only(&r, "rights-missing");
    assert_int_equal(f->level, DOCTOR_BROKEN);
    assert_string_equal(f->what, "the user weir may not: SPUBLISH, CLUSTER SLOTS");
    assert_non_null(strstr(f->command, "ACL SETUSER weir resetkeys"));
    doctor_report_free(&r);
}

static void needless_rights_are_wrong(void **state)
{
    struct doctor_report r;
    const struct doctor_finding *f;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    r.user = "default";
    for (size_t i = 0; i < r.node_count; i++)
        memset(r.nodes[i].may, DOCTOR_MAY, sizeof r.nodes[i].may);
    f = only(&r, "rights-excessive");
    assert_int_equal(f->level, DOCTOR_WRONG);
    assert_non_null(strstr(f->what, "FLUSHALL"));
    assert_non_null(strstr(f->what, "CONFIG SET"));
    assert_non_null(strstr(f->what, "keys that are not weir's"));
    assert_non_null(strstr(f->command, "ACL SETUSER weir on >PASSWORD"));
    assert_non_null(f->advice);
    doctor_report_free(&r);
}

static void a_user_that_is_not_there_is_broken(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    r.nodes[0].user_missing = true;
    assert_int_equal(only(&r, "user-missing")->level, DOCTOR_BROKEN);
    doctor_report_free(&r);
}

static void what_could_not_be_seen_is_said(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    r.nodes[0].settings_refused = true;
    r.nodes[0].settings.count = 0;
    change(&r.nodes[1].settings, "maxmemory", "0");
    r.partly = true;
    r.too_many = 2;
    r.nodes[2].no_password = true;
    doctor_judge(&r);
    assert_non_null(found(&r, "config-get"));
    assert_non_null(found(&r, "cluster-nodes"));
    assert_non_null(found(&r, "too-many"));
    assert_int_equal(found(&r, "no-password")->nodes[0], 2);
    assert_int_equal(found(&r, "maxmemory")->node_count, 1);
    doctor_report_free(&r);
}

static void info_tells_some_settings_too(void **state)
{
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_STATE);
    as_state(&r);
    change_all(&r, "min-replicas-to-write", "1");
    r.nodes[0].settings.count = 0; /* aof_enabled is 0 in INFO */
    doctor_judge(&r);
    assert_int_equal(found(&r, "appendonly")->nodes[0], 0);
    doctor_report_free(&r);
}

static void every_setting_that_is_judged_is_asked_for(void **state)
{
    struct doctor_values none = {0};
    struct doctor_report r;

    (void)state;
    set_up(&r, DOCTOR_CACHE);
    for (size_t i = 0; i < doctor_setting_count; i++)
        assert_non_null(doctor_value(&r.nodes[0].settings, doctor_settings[i]));
    assert_int_equal(doctor_setting_count, r.nodes[0].settings.count);
    assert_null(doctor_value(&none, "maxmemory"));
    doctor_report_free(&r);
}

static void without_memory_it_says_so(void **state)
{
#ifdef WEIR_FAULTS
    bool done = false;

    for (unsigned long n = 1; !done; n++) {
        struct doctor_report r;

        set_up(&r, DOCTOR_ONE);
        change_all(&r, "lazyfree-lazy-expire", "no");
        weir_alloc_fail_at(n);
        doctor_judge(&r);
        done = !weir_alloc_failed();
        assert_true(done || r.out_of_memory);
        weir_alloc_fail_at(0);
        doctor_report_free(&r);
    }
#endif
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cache_as_it_should_be_has_no_findings),
        cmocka_unit_test(every_setting_is_judged_by_its_role),
        cmocka_unit_test(what_all_nodes_have_alike_is_one_finding),
        cmocka_unit_test(the_worst_comes_first),
        cmocka_unit_test(one_redis_for_both_is_worth_a_note),
        cmocka_unit_test(a_plain_redis_is_not_measured_as_a_cluster),
        cmocka_unit_test(slots_without_an_owner_are_broken),
        cmocka_unit_test(a_lost_master_is_broken_and_a_lost_replica_wrong),
        cmocka_unit_test(a_replica_that_gets_nothing_is_wrong),
        cmocka_unit_test(replicas_on_the_machine_of_their_master_are_noted),
        cmocka_unit_test(writes_that_stop_with_one_replica_are_noted),
        cmocka_unit_test(an_old_redis_is_broken),
        cmocka_unit_test(different_versions_are_noted),
        cmocka_unit_test(memory_that_ends_is_wrong_and_broken_at_its_end),
        cmocka_unit_test(a_log_that_cannot_be_written_is_broken),
        cmocka_unit_test(scattered_memory_is_noted),
        cmocka_unit_test(subscribers_need_a_limit_and_not_too_small_a_one),
        cmocka_unit_test(lazyfree_settings_are_one_finding),
        cmocka_unit_test(clocks_apart_are_wrong_if_it_is_certain),
        cmocka_unit_test(missing_rights_are_broken_and_named),
        cmocka_unit_test(needless_rights_are_wrong),
        cmocka_unit_test(a_user_that_is_not_there_is_broken),
        cmocka_unit_test(what_could_not_be_seen_is_said),
        cmocka_unit_test(info_tells_some_settings_too),
        cmocka_unit_test(every_setting_that_is_judged_is_asked_for),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
