#include "test_purge_farm.h"

/* What happens is known by what nodes would serve. */

static void a_purge_is_in_force_in_all_nodes_when_it_is_answered(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject here, there;

    (void)state;
    farm_run(w);
    here = fetched(a, "/x");
    there = fetched(b, "/x");
    purge_path(a, "/x");
    farm_run(w);
    assert_int_equal(a->answers, 1);
    assert_int_equal(a->answered->outcome, PURGE_APPLIED);
    assert_int_equal(a->answered->sequence, w->newest);
    assert_int_equal(purge_logged(b->table), w->newest);
    assert_false(usable(a, &here));
    assert_false(usable(b, &there));
    assert_false(usable_shared(a, &there));
    assert_false(usable_shared(b, &here));
    here = fetched(a, "/x");
    assert_true(usable(a, &here));
    assert_true(usable_shared(b, &here));
    farm_end(w);
}

static void it_is_answered_only_when_it_is_in_force_here(void **state)
{
    struct farm *w = farm_new_nodes(1);
    struct farm_node *a = &w->node[0];
    struct purge_subject s;

    (void)state;
    farm_run(w);
    s = fetched(a, "/x");
    purge_path(a, "/x");
    while (a->answers == 0) {
        assert_true(usable(a, &s) || atomic_load(&a->home.head) != NULL);
        farm_mail(a);
        farm_step(w);
    }
    assert_false(usable(a, &s));
    farm_end(w);
}

static void records_of_one_purge_share_an_id(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    const char *const names[] = {"/a", "/b", "/c"};
    struct purge_record r[3];
    struct purge_subject s;

    (void)state;
    farm_run(w);
    for (size_t i = 0; i < 3; i++)
        r[i] = url_record(a, names[i], i == 2 ? PURGE_SOFT : PURGE_HARD);
    submit(a, r, 3, -1, false);
    farm_run(w);
    for (size_t i = 0; i < 3; i++) {
        s = fetched(b, names[i]); /* right after it */
        assert_true(usable(b, &s));
        assert_true(usable_shared(a, &s));
    }
    farm_end(w);
}

static void what_only_one_redis_has_is_said_to_be_unconfirmed(void **state)
{
    struct farm *w = farm_new_nodes(1);

    (void)state;
    farm_run(w);
    w->node[0].port.unsure = true;
    purge_path(&w->node[0], "/x");
    farm_run(w);
    assert_int_equal(w->node[0].answered->outcome, PURGE_UNCONFIRMED);
    assert_true(w->node[0].answered->sequence > 0);
    farm_end(w);
}

/* ---- without the log ---- */

static void without_the_log_a_purge_is_in_force_here_and_elsewhere_later(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_feed_stats stats;
    struct purge_subject here, there, after;

    (void)state;
    farm_run(w);
    here = fetched(a, "/x");
    there = fetched(b, "/x");
    a->port.gone = true;
    purge_path(a, "/x");
    purge_path(a, "/x"); /* twice is once */
    farm_run(w);
    assert_int_equal(a->answered->outcome, PURGE_PENDING);
    assert_int_equal(a->answers, 2);
    assert_false(usable(a, &here));
    assert_true(usable(b, &there));
    after = fetched(a, "/x");
    assert_true(usable(a, &after)); /* the node goes on caching */
    purge_feed_stats(a->feed, &stats);
    assert_false(stats.reachable && stats.known && stats.pending == 0);
    assert_int_equal(stats.pending, 1);
    farm_second(w);
    a->port.gone = false;
    farm_second(w);
    farm_second(w);
    assert_false(usable(b, &there));
    purge_feed_stats(a->feed, &stats);
    assert_int_equal(stats.pending, 0);
    assert_true(stats.reachable);
    assert_in_range(stats.contact_ms, 0, 1000);
    farm_end(w);
}

/* A Redis that answers every other second: the error log must not be filled with it. */
static void a_log_that_comes_and_goes_is_told_of_now_and_then(void **state)
{
    struct farm *w = farm_new_nodes(1);
    struct purge_feed *f = w->node[0].feed;
    unsigned lines = 0;

    (void)state;
    farm_run(w);
    for (int i = 0; i < 60; i++) {
        bool told = f->told;

        w->node[0].port.gone = i % 2 == 0;
        farm_second(w);
        lines += f->told != told;
    }
    assert_in_range(lines, 1, 7);
    w->node[0].port.gone = false;
    for (int i = 0; i < 12; i++)
        farm_second(w);
    assert_true(f->reachable && f->told); /* the last line is true */
    farm_end(w);
}

static void until_it_is_in_the_log_newer_stamps_of_others_are_not_believed(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject s;

    (void)state;
    farm_run(w);
    a->port.gone = true;
    purge_path(a, "/x");
    farm_run(w);
    a->port.gone = false;
    a->feed->quiet_until_ms = INT64_MAX; /* it reads again, and has not appended yet */
    w->now_ms += 50;
    purge_path(b, "/other");
    farm_run(w);
    s = fetched(b, "/x"); /* from before the change, for all that a knows */
    assert_int_equal(purge_logged(a->table), s.logged);
    assert_false(usable_shared(a, &s));
    a->feed->quiet_until_ms = 0;
    farm_second(w);
    s = fetched(b, "/x");
    assert_true(usable_shared(a, &s));
    farm_end(w);
}

static void an_answer_that_came_too_late_leaves_it_pending_and_does_no_harm(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject here, there;

    (void)state;
    farm_run(w);
    here = fetched(a, "/x");
    there = fetched(b, "/x");
    a->port.late = true;
    purge_path(a, "/x");
    farm_run(w);
    assert_int_equal(a->answered->outcome, PURGE_PENDING);
    assert_false(usable(a, &here));
    assert_false(usable(b, &there)); /* it did arrive */
    a->port.late = false;
    farm_second(w);
    farm_second(w);
    assert_int_equal(a->feed->sure.count, 0);
    here = fetched(a, "/x");
    assert_true(usable(a, &here) && usable_shared(b, &here));
    farm_end(w);
}

static void what_was_appended_and_cannot_be_read_back_is_in_force_here(void **state)
{
    struct farm *w = farm_new_nodes(1);
    struct farm_node *a = &w->node[0];
    struct purge_subject s;

    (void)state;
    farm_run(w);
    s = fetched(a, "/x");
    purge_path(a, "/x");
    farm_mail(a);
    while (w->first != NULL && w->first->kind == OP_APPEND)
        farm_step(w);
    a->port.gone = true;
    farm_run(w);
    assert_int_equal(a->answered->outcome, PURGE_PENDING);
    assert_false(usable(a, &s));
    farm_end(w);
}

static void beyond_what_can_be_remembered_everything_is_purged(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject other, there;
    char path[16];

    (void)state;
    farm_run(w);
    other = fetched(b, "/other");
    there = fetched(a, "/other");
    a->port.gone = true;
    a->feed->sure.max = 3;
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "/%d", i);
        purge_path(a, path);
        farm_run(w);
    }
    assert_true(a->feed->owes_all);
    assert_true(usable(a, &there)); /* here only what was meant */
    a->port.gone = false;
    farm_second(w);
    farm_second(w);
    assert_false(a->feed->owes_all);
    assert_false(usable(b, &other));
    assert_int_equal(a->feed->sure.count, 0);
    there = fetched(b, "/other");
    assert_true(usable_shared(a, &there)); /* all has landed */
    farm_end(w);
}

static void who_has_no_memory_to_say_what_purges_everything(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct purge_subject here, there;

    (void)state;
    farm_run(w);
    here = fetched(&w->node[0], "/x");
    there = fetched(&w->node[1], "/x");
    purge_feed_submit_all(w->node[0].feed);
    purge_feed_submit_all(w->node[0].feed);
    farm_run(w);
    assert_false(usable(&w->node[0], &here));
    farm_second(w);
    assert_false(usable(&w->node[1], &there));
    farm_end(w);
}

/* ---- the start ---- */

static void before_the_log_was_read_nothing_shared_is_used(void **state)
{
    struct farm *w = farm_new_nodes(1);
    struct purge_subject s, own;

    (void)state;
    farm_run(w);
    w->now_ms += 2 * 3600 * 1000;
    purge_path(&w->node[0], "/y");
    farm_run(w);
    s = fetched(&w->node[0], "/x");
    node_start(w, 1);
    w->node[1].port.gone = true;
    farm_run(w);
    assert_false(usable_shared(&w->node[1], &s));
    own = fetched(&w->node[1], "/x");
    assert_int_equal(own.logged, 0); /* nor shared */
    assert_true(usable(&w->node[1], &own));
    w->node[1].port.gone = false;
    farm_second(w);
    assert_true(usable_shared(&w->node[1], &s));
    assert_true(usable(&w->node[1], &own)); /* what it had fetched meanwhile stays */
    farm_end(w);
}

static void a_node_that_starts_knows_the_purges_of_before(void **state)
{
    struct farm *w = farm_new_nodes(1);
    struct farm_node *a = &w->node[0];
    struct purge_subject old, fresh;
    char path[16];

    (void)state;
    farm_run(w);
    old = fetched(a, "/x");
    purge_path(a, "/x");
    farm_run(w);
    fresh = fetched(a, "/x");
    for (int i = 0; i < 1500; i++) { /* more than it reads at once */
        snprintf(path, sizeof path, "/%d", i);
        purge_path(a, path);
        w->now_ms += 7;
    }
    farm_run(w);
    node_start(w, 1);
    farm_run(w);
    assert_int_equal(purge_logged(w->node[1].table), w->newest);
    assert_false(usable_shared(&w->node[1], &old));
    assert_true(usable_shared(&w->node[1], &fresh));
    farm_end(w);
}

static void what_is_older_than_the_log_counts_as_purged_for_who_starts(void **state)
{
    struct farm *w = farm_new_nodes(1);
    struct purge_subject before_all, fresh;

    (void)state;
    farm_run(w);
    before_all = fetched(&w->node[0], "/x");
    for (int i = 0; i < 20; i++) {
        w->now_ms += 1000;
        purge_path(&w->node[0], "/other");
        farm_run(w);
    }
    fresh = fetched(&w->node[0], "/x");
    farm_trim(w, 10);
    node_start(w, 1);
    farm_run(w);
    assert_false(usable_shared(&w->node[1], &before_all));
    assert_true(usable_shared(&w->node[1], &fresh));
    assert_true(usable_shared(&w->node[0], &before_all)); /* who has seen it all knows better */
    farm_end(w);
}

/* ---- losses ---- */

static void what_was_dropped_unread_may_have_purged_anything(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_feed_stats stats;
    struct purge_subject mine, theirs;

    (void)state;
    farm_run(w);
    mine = fetched(b, "/x");
    theirs = fetched(a, "/x");
    b->port.gone = true;
    for (int i = 0; i < 20; i++) {
        w->now_ms += 1000;
        purge_path(a, i == 3 ? "/x" : "/other");
        farm_run(w);
    }
    farm_trim(w, 5);
    b->port.gone = false;
    farm_second(w);
    assert_false(usable(b, &mine));
    assert_false(usable_shared(b, &theirs));
    purge_feed_stats(b->feed, &stats);
    assert_int_equal(stats.missed, 1);
    mine = fetched(b, "/x");
    farm_second(w);
    assert_true(usable(b, &mine));
    purge_feed_stats(b->feed, &stats);
    assert_int_equal(stats.missed, 1);
    farm_end(w);
}

/* Two nodes have applied it, the third has not, and the log has lost it. */
static void lose_the_end(struct farm *w, struct purge_subject *third)
{
    uint64_t kept;

    farm_run(w);
    *third = fetched(&w->node[2], "/x");
    purge_path(&w->node[0], "/before");
    farm_run(w);
    kept = w->newest;
    w->node[2].port.gone = true;
    w->now_ms += 10;
    purge_path(&w->node[0], "/x");
    farm_run(w);
    farm_lose(w, kept);
    w->node[2].port.gone = false;
}

static size_t records_in_log(const struct farm *w)
{
    size_t sum = 0, n;

    for (size_t i = 0; i < w->count; i++) {
        assert_true(purge_wire_read(weir_span(w->entry[i].bytes, w->entry[i].len), &n));
        sum += n;
    }
    return sum;
}

static void what_the_log_has_lost_it_is_given_again_once(void **state)
{
    struct farm *w = farm_new_nodes(3);
    struct purge_feed_stats stats;
    struct purge_subject third;

    (void)state;
    lose_the_end(w, &third);
    for (int i = 0; i < 3; i++)
        farm_second(w);
    assert_false(usable(&w->node[2], &third));
    assert_int_equal(records_in_log(w), 2);
    purge_feed_stats(w->node[0].feed, &stats);
    assert_int_equal(stats.losses, 1);
    assert_int_equal(stats.pending, 0);
    third = fetched(&w->node[2], "/x");
    assert_true(usable_shared(&w->node[0], &third));
    farm_end(w);
}

static void a_loss_is_noticed_though_the_log_has_grown_again(void **state)
{
    struct farm *w = farm_new_nodes(3);
    struct purge_subject third;

    (void)state;
    lose_the_end(w, &third);
    w->now_ms += 100;
    purge_path(&w->node[2], "/new"); /* by who had not seen what was lost */
    for (int i = 0; i < 3; i++)
        farm_second(w);
    assert_false(usable(&w->node[2], &third));
    farm_end(w);
}

static void after_a_loss_no_id_is_older_than_what_was_known(void **state)
{
    struct farm *w = farm_new_nodes(3);
    struct purge_subject third, stamped;

    (void)state;
    lose_the_end(w, &third);
    stamped = fetched(&w->node[0], "/y"); /* by an id that is gone */
    w->now_ms -= 5;                       /* the clock of the new master is behind */
    purge_path(&w->node[2], "/y");
    for (int i = 0; i < 3; i++)
        farm_second(w);
    node_end(&w->node[2]);
    node_start(w, 2);
    farm_run(w);
    for (int i = 0; i < 3; i++)
        assert_false(usable_shared(&w->node[i], &stamped));
    assert_false(usable(&w->node[0], &stamped));
    farm_end(w);
}

static void a_log_that_was_emptied_gets_back_what_nodes_remember(void **state)
{
    struct farm *w = farm_new_nodes(3);
    struct purge_subject third, old;

    (void)state;
    lose_the_end(w, &third);
    old = fetched(&w->node[1], "/before");
    farm_flush(w);
    w->now_ms += 1000;
    for (int i = 0; i < 3; i++)
        farm_second(w);
    assert_false(usable(&w->node[2], &third));
    assert_int_equal(records_in_log(w), 2);
    node_end(&w->node[2]);
    node_start(w, 2); /* knows nothing of what the lost log said */
    farm_run(w);
    assert_false(usable_shared(&w->node[2], &old));
    third = fetched(&w->node[1], "/x");
    assert_true(usable_shared(&w->node[2], &third));
    farm_end(w);
}

static void an_empty_log_is_no_loss(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct purge_subject s;

    (void)state;
    farm_run(w);
    s = fetched(&w->node[0], "/x");
    farm_flush(w);
    w->now_ms += 1000;
    farm_second(w);
    farm_second(w);
    assert_true(usable(&w->node[0], &s));
    assert_int_equal(records_in_log(w), 0);
    assert_int_equal(purge_logged(w->node[1].table), w->newest);
    farm_end(w);
}

static void what_cannot_be_read_purges_everything(void **state)
{
    static const char *const bad[] = {"\2", "\1\0\1\0", "x"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct farm *w = farm_new_nodes(1);
        struct purge_subject s;

        farm_run(w);
        s = fetched(&w->node[0], "/x");
        w->now_ms += 10;
        farm_put(w, bad[i], i == 1 ? 4 : 1, 0);
        farm_second(w);
        assert_false(usable(&w->node[0], &s));
        assert_false(usable_shared(&w->node[0], &s));
        s = fetched(&w->node[0], "/x");
        assert_true(usable(&w->node[0], &s));
        farm_end(w);
    }
}

/* ---- unsafe methods ---- */

static void mark(struct farm *w, uint64_t url, int64_t ttl_ms)
{
    struct shared_call c = {.timeout_ms = 1};

    (void)w;
    purge_mark(&w->node[0].port, &c, url, ttl_ms);
    w->first->c = NULL; /* nobody waits */
    snprintf(w->mark[w->marks++], sizeof w->mark[0], "%s", w->first->bytes);
    farm_run(w);
}

static void what_nobody_shares_is_not_put_into_the_log(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0];
    struct purge_record r;
    struct purge_subject s;

    (void)state;
    farm_run(w);
    r = url_record(a, "/x", PURGE_HARD);
    submit(a, &r, 1, -1, true);
    farm_run(w);
    assert_int_equal(a->answered->outcome, PURGE_APPLIED);
    assert_int_equal(records_in_log(w), 0);
    s = fetched(&w->node[1], "/x");
    mark(w, s.url, 3600 * 1000);
    submit(a, &r, 1, -1, true);
    farm_run(w);
    assert_int_equal(records_in_log(w), 1);
    assert_false(usable(&w->node[1], &s));
    farm_end(w);
}

static void a_mark_of_any_length_and_of_any_query_counts(void **state)
{
    static const int64_t ttl[] = {1000, 3600000, 86400000, (int64_t)400 * 86400000};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct farm *w = farm_new_nodes(1);
        struct purge_record r;

        farm_run(w);
        r = url_record(&w->node[0], "/x", PURGE_HARD);
        mark(w, i % 2 == 0 ? r.also : r.hash, ttl[i]);
        submit(&w->node[0], &r, 1, -1, true);
        farm_run(w);
        assert_int_equal(records_in_log(w), 1);
        farm_end(w);
    }
}

static void if_nobody_knows_whether_it_is_shared_it_is_asked_again(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0];
    struct purge_subject s, other;
    struct purge_record r[2];

    (void)state;
    farm_run(w);
    s = fetched(&w->node[1], "/x");
    other = fetched(&w->node[1], "/y");
    mark(w, s.url, 1000);
    a->port.marks_gone = true;
    r[0] = url_record(a, "/x", PURGE_HARD);
    r[1] = url_record(a, "/y", PURGE_HARD);
    submit(a, &r[0], 1, -1, true);
    submit(a, &r[1], 1, -1, true);
    farm_run(w);
    assert_int_equal(a->answered->outcome, PURGE_PENDING);
    assert_false(usable_shared(a, &s)); /* here it is in force */
    assert_int_equal(a->feed->unasked.count, 2);
    a->port.marks_gone = false;
    farm_second(w);
    farm_second(w);
    assert_int_equal(a->feed->unasked.count, 0);
    assert_int_equal(records_in_log(w), 1);
    assert_false(usable(&w->node[1], &s));
    assert_true(usable(&w->node[1], &other));
    s = fetched(&w->node[1], "/x");
    assert_true(usable_shared(a, &s)); /* nothing is held back any more */
    farm_end(w);
}

/* ---- contact ---- */

static void out_of_contact_nothing_shared_is_used(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject there, own;

    (void)state;
    farm_run(w);
    there = fetched(a, "/x");
    own = fetched(b, "/x");
    assert_true(usable_shared(b, &there));
    farm_pass(w, PURGE_CURRENT_MS - 1); /* its loop stands still: nobody looks, nobody fails */
    assert_true(usable_shared(b, &there));
    farm_pass(w, 1);
    assert_false(usable_shared(b, &there));
    assert_false(purge_log_current(b->table, b->clock.mono_ms));
    assert_true(usable(b, &own));
    farm_second(w);
    assert_true(usable_shared(b, &there));
    farm_end(w);
}

static void a_node_that_was_cut_off_learns_what_it_missed_before_it_uses_the_store(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject there, own, kept;

    (void)state;
    farm_run(w);
    there = fetched(a, "/x");
    own = fetched(b, "/x");
    kept = fetched(a, "/y");
    b->port.gone = true;
    purge_path(a, "/x");
    farm_second(w); /* its look failed: it knows */
    assert_int_equal(a->answered->outcome, PURGE_APPLIED);
    assert_false(usable_shared(b, &kept));
    b->port.gone = false;
    assert_false(usable_shared(b, &there));
    assert_true(usable(b, &own)); /* it cannot know yet */
    event_active(b->feed->poll, EV_TIMEOUT, 1);
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    do { /* at no moment on the way */
        assert_false(usable_shared(b, &there));
        assert_true(!usable_shared(b, &kept) || !usable(b, &own));
    } while (farm_step(w));
    assert_false(usable(b, &own));
    assert_true(usable_shared(b, &kept));
    farm_end(w);
}

static void where_hints_were_missed_nothing_shared_is_used_until_it_was_looked(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject there;

    (void)state;
    farm_run(w);
    there = fetched(a, "/x");
    purge_reader_look(b->feed); /* asked before the gap: this one knows nothing of it */
    b->port.listener->on_gap(b->port.listener);
    assert_false(usable_shared(b, &there));
    farm_step(w);
    assert_false(usable_shared(b, &there));
    farm_run(w);
    assert_true(usable_shared(b, &there));
    farm_end(w);
}

static void a_log_that_failed_is_tried_again_soon(void **state)
{
    struct farm *w = farm_new_nodes(2);
    struct farm_node *a = &w->node[0], *b = &w->node[1];
    struct purge_subject there;

    (void)state;
    farm_run(w);
    there = fetched(a, "/x");
    b->port.late = true;
    purge_reader_look(b->feed);
    farm_run(w);
    assert_false(usable_shared(b, &there));
    b->port.late = false;
    assert_true(event_pending(b->feed->soon, EV_TIMEOUT, NULL));
    farm_timers(w, false);
    assert_true(usable_shared(b, &there));
    farm_end(w);
}

/* ---- without memory ---- */

#ifdef WEIR_FAULTS
static void without_memory_a_purge_is_late_but_never_lost(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned long n = 1; failed; n++) {
        struct farm *w = farm_new_nodes(2);
        struct purge_subject here, there;

        farm_run(w);
        here = fetched(&w->node[0], "/x");
        there = fetched(&w->node[1], "/x");
        purge_path(&w->node[0], "/x");
        weir_alloc_fail_at(n);
        farm_run(w);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_false(usable(&w->node[0], &here));
        assert_int_equal(w->node[0].answers, 1);
        farm_second(w);
        farm_second(w);
        assert_false(usable(&w->node[1], &there));
        assert_int_equal(w->node[0].feed->sure.count, 0);
        farm_end(w);
    }
}
#endif

static void a_feed_can_end_at_any_moment(void **state)
{
    (void)state;
    for (int steps = 0; steps < 40; steps++) {
        struct farm *w = farm_new_nodes(2);
        struct purge_record r = url_record(&w->node[0], "/x", PURGE_HARD);

        purge_path(&w->node[0], "/x");
        submit(&w->node[0], &r, 1, -1, true);
        for (int i = 0; i < steps; i++) {
            farm_step(w);
            farm_mail(&w->node[0]);
            if (i == 20)
                farm_flush(w);
        }
        farm_end(w);
    }
}

/* ---- at random ---- */

#define PATHS  4
#define THINGS 48

/* What a fetch brought, and where it is: in a node, and in the store if it was shared. */
struct thing {
    struct purge_subject s;
    int node, path;
    unsigned version; /* of the origin when the fetch began */
    bool shared;
};

struct purged {
    bool waits;
    int path;
    unsigned version; /* what is older must not be served */
};

struct world {
    struct farm *w;
    uint64_t random;
    unsigned version[PATHS];
    unsigned least[FARM_NODES][PATHS]; /* as the node has promised */
    struct thing thing[THINGS];
    struct purged purged[FARM_NODES]; /* one at a time */
};

static const char *const paths[PATHS] = {"/a", "/b", "/c", "/d"};

static unsigned draw_below(struct world *v, unsigned n)
{
    v->random ^= v->random << 13;
    v->random ^= v->random >> 7;
    v->random ^= v->random << 17;
    return (unsigned)(v->random % n);
}

static bool serves(struct world *v, int node, struct thing *t)
{
    struct farm_node *n = &v->w->node[node];

    return t->s.url != 0 &&
           ((t->node == node && usable(n, &t->s)) || (t->shared && usable_shared(n, &t->s)));
}

/* No node serves what it has promised not to. */
static void judge(struct world *v, bool all)
{
    for (int i = 0; i < THINGS; i++)
        for (int n = 0; n < FARM_NODES; n++) {
            struct thing *t = &v->thing[i];
            unsigned least = v->least[n][t->path];

            if (all)
                for (int k = 0; k < FARM_NODES; k++)
                    least = v->least[k][t->path] > least ? v->least[k][t->path] : least;
            if (serves(v, n, t))
                assert_true(t->version >= least);
        }
}

static void change(struct world *v)
{
    int n = (int)draw_below(v, FARM_NODES), path = (int)draw_below(v, PATHS);
    struct farm_node *node = &v->w->node[n];
    struct purge_record r = url_record(node, paths[path], PURGE_HARD);

    if (v->purged[n].waits)
        return;
    v->version[path]++;
    v->purged[n] = (struct purged){true, path, v->version[path]};
    if (draw_below(v, 2) == 0) {
        submit(node, &r, 1, (int)purge_ahead(node->table, &r, 1), false);
        v->least[n][path] = v->version[path]; /* at once */
    } else {
        submit(node, &r, 1, -1, false);
    }
}

static void note_answers(struct world *v)
{
    for (int n = 0; n < FARM_NODES; n++) {
        struct farm_node *node = &v->w->node[n];
        struct purged *p = &v->purged[n];

        if (node->answers == 0)
            continue;
        node->answers = 0;
        p->waits = false;
        if (v->least[n][p->path] < p->version)
            v->least[n][p->path] = p->version;
    }
}

static void fetch(struct world *v)
{
    int n = (int)draw_below(v, FARM_NODES), path = (int)draw_below(v, PATHS);

    v->thing[draw_below(v, THINGS)] = (struct thing){
        .s = fetched(&v->w->node[n], paths[path]),
        .node = n,
        .path = path,
        .version = v->version[path],
        .shared = draw_below(v, 2) == 0,
    };
}

static bool settled(const struct world *v)
{
    for (int n = 0; n < FARM_NODES; n++) {
        const struct farm_node *node = &v->w->node[n];

        if (node->feed->sure.count > 0 || node->feed->owes_all || v->purged[n].waits ||
            purge_logged(node->table) != v->w->newest || node->feed->reader.mode != READ_ON)
            return false;
    }
    return true;
}

/* Everything is well again: then all nodes keep what any of them has promised. */
static void recover(struct world *v)
{
    for (int n = 0; n < FARM_NODES; n++)
        v->w->node[n].port.gone = v->w->node[n].port.late = false;
    for (int i = 0; i < 8; i++) {
        farm_second(v->w);
        note_answers(v);
        judge(v, false);
    }
    assert_true(settled(v));
    judge(v, true);
}

static void disturb(struct world *v)
{
    struct farm *w = v->w;
    struct shared_port *p = &w->node[draw_below(v, FARM_NODES)].port;

    switch (draw_below(v, 12)) {
    case 0:
    case 1:
    case 2:
        p->gone = !p->gone;
        break;
    case 3:
        p->late = !p->late;
        break;
    case 4:
        if (w->count > 3)
            farm_lose(w, w->entry[w->count - 1 - draw_below(v, 3)].id);
        w->now_ms += 5; /* no failover is faster than clocks are apart */
        break;
    case 5:
        if (draw_below(v, 4) == 0)
            farm_flush(w);
        w->now_ms += 5;
        break;
    case 6:
        w->now_ms += draw_below(v, 200);
        break;
    case 7:
        recover(v);
        break;
    default:
        farm_second(w);
        break;
    }
}

static void nothing_purged_is_ever_served(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct world *v = calloc(1, sizeof *v);

        v->random = seed * 0x9e3779b97f4a7c15;
        v->w = farm_new_nodes(FARM_NODES);
        farm_run(v->w);
        for (int step = 0; step < 400; step++) {
            unsigned what = draw_below(v, 16);

            if (what < 3)
                change(v);
            else if (what < 7)
                fetch(v);
            else if (what == 7)
                disturb(v);
            else if (what == 8)
                farm_run(v->w);
            else
                farm_step(v->w);
            for (int n = 0; n < FARM_NODES; n++)
                farm_mail(&v->w->node[n]);
            note_answers(v);
            judge(v, false);
        }
        recover(v);
        farm_end(v->w);
        free(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purge_is_in_force_in_all_nodes_when_it_is_answered),
        cmocka_unit_test(it_is_answered_only_when_it_is_in_force_here),
        cmocka_unit_test(records_of_one_purge_share_an_id),
        cmocka_unit_test(what_only_one_redis_has_is_said_to_be_unconfirmed),
        cmocka_unit_test(without_the_log_a_purge_is_in_force_here_and_elsewhere_later),
        cmocka_unit_test(a_log_that_comes_and_goes_is_told_of_now_and_then),
        cmocka_unit_test(until_it_is_in_the_log_newer_stamps_of_others_are_not_believed),
        cmocka_unit_test(an_answer_that_came_too_late_leaves_it_pending_and_does_no_harm),
        cmocka_unit_test(what_was_appended_and_cannot_be_read_back_is_in_force_here),
        cmocka_unit_test(beyond_what_can_be_remembered_everything_is_purged),
        cmocka_unit_test(who_has_no_memory_to_say_what_purges_everything),
        cmocka_unit_test(before_the_log_was_read_nothing_shared_is_used),
        cmocka_unit_test(a_node_that_starts_knows_the_purges_of_before),
        cmocka_unit_test(what_is_older_than_the_log_counts_as_purged_for_who_starts),
        cmocka_unit_test(what_was_dropped_unread_may_have_purged_anything),
        cmocka_unit_test(what_the_log_has_lost_it_is_given_again_once),
        cmocka_unit_test(a_loss_is_noticed_though_the_log_has_grown_again),
        cmocka_unit_test(after_a_loss_no_id_is_older_than_what_was_known),
        cmocka_unit_test(a_log_that_was_emptied_gets_back_what_nodes_remember),
        cmocka_unit_test(an_empty_log_is_no_loss),
        cmocka_unit_test(what_cannot_be_read_purges_everything),
        cmocka_unit_test(what_nobody_shares_is_not_put_into_the_log),
        cmocka_unit_test(a_mark_of_any_length_and_of_any_query_counts),
        cmocka_unit_test(if_nobody_knows_whether_it_is_shared_it_is_asked_again),
        cmocka_unit_test(out_of_contact_nothing_shared_is_used),
        cmocka_unit_test(a_node_that_was_cut_off_learns_what_it_missed_before_it_uses_the_store),
        cmocka_unit_test(where_hints_were_missed_nothing_shared_is_used_until_it_was_looked),
        cmocka_unit_test(a_log_that_failed_is_tried_again_soon),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_a_purge_is_late_but_never_lost),
#endif
        cmocka_unit_test(a_feed_can_end_at_any_moment),
        cmocka_unit_test(nothing_purged_is_ever_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
