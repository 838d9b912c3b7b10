/* A farm of nodes with ticket keys on one thread: one engine, a clock of the test, doors that shut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "test_crowd.h"
#include "weir/mailbox.h"
#include "weir/work.h"
#include "tls_tickets.h"

#define NODES 4
#define P     ((int64_t)60000)
#define START 1763900010000 /* in the sixth part of a period */

struct host {
    struct crowd_node *node;
    struct tls_tickets *t;
    char file[64];
};

struct scene {
    struct crowd *crowd;
    struct weir_wrap_key key;
    struct host host[NODES];
    char dir[40];
    struct weir_work_pool *pool;
    struct weir_mailbox box;
};

static void turn(struct crowd_node *n)
{
    struct host *h = n->owner;

    if (h->t != NULL)
        tls_tickets_turn(h->t);
}

enum place { IN_FARM, ALONE };

static struct tls_tickets *open_as(struct scene *s, size_t i, enum place place, bool gone,
                                   bool keeps)
{
    struct host *h = &s->host[i];
    struct tls_tickets_options o = {.key = place == IN_FARM ? &s->key : NULL,
                                    .farm = CROWD_FARM,
                                    .file = keeps ? h->file : NULL,
                                    .pool = s->pool,
                                    .box = &s->box,
                                    .rotation_ms = P,
                                    .seed = i + 1};

    h->node = crowd_open(s->crowd, i);
    h->node->owner = h;
    h->node->turn = turn;
    h->node->gone = gone;
    o.port = h->node->port;
    o.loop = &h->node->loop;
    h->t = tls_tickets_new(&o, NULL);
    assert_non_null(h->t);
    crowd_run(s->crowd);
    crowd_pass(s->crowd, 200);
    return h->t;
}

static struct tls_tickets *open_node(struct scene *s, size_t i)
{
    return open_as(s, i, IN_FARM, false, false);
}

static void close_node(struct scene *s, size_t i)
{
    struct host *h = &s->host[i];

    if (h->t == NULL)
        return;
    tls_tickets_free(h->t);
    h->t = NULL;
    crowd_close(h->node);
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    s->crowd = crowd_new(NODES);
    s->crowd->shared_ms = START;
    assert_true(
        weir_wrap_key_derive(&s->key, WEIR_SPAN_LIT("a secret"), WEIR_SPAN_LIT(CROWD_FARM), NULL));
    strcpy(s->dir, "/tmp/weir-test-tickets-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    for (int i = 0; i < NODES; i++)
        snprintf(s->host[i].file, sizeof s->host[i].file, "%s/%d", s->dir, i);
    s->pool = weir_work_pool_new(1, NULL);
    assert_true(weir_mailbox_init(&s->box, NULL));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    for (size_t i = 0; i < NODES; i++) {
        close_node(s, i);
        remove(s->host[i].file);
    }
    weir_work_pool_free(s->pool);
    weir_mailbox_drain(&s->box);
    weir_mailbox_close(&s->box);
    crowd_free(s->crowd);
    rmdir(s->dir);
    free(s);
    return 0;
}

/* ---- tickets, as OpenSSL makes and opens them ---- */

struct ticket {
    unsigned char name[16], iv[EVP_MAX_IV_LENGTH], body[64], mac[32];
    int len;
};

struct contexts {
    EVP_CIPHER_CTX *cipher;
    EVP_MAC *hmac;
    EVP_MAC_CTX *mac;
};

static struct contexts contexts_new(void)
{
    struct contexts c = {.cipher = EVP_CIPHER_CTX_new(), .hmac = EVP_MAC_fetch(NULL, "HMAC", NULL)};

    c.mac = EVP_MAC_CTX_new(c.hmac);
    return c;
}

static void contexts_free(struct contexts *c)
{
    EVP_CIPHER_CTX_free(c->cipher);
    EVP_MAC_CTX_free(c->mac);
    EVP_MAC_free(c->hmac);
}

static void make_mac(struct contexts *c, const struct ticket *k, unsigned char mac[32])
{
    size_t len;

    assert_int_equal(EVP_MAC_init(c->mac, NULL, 0, NULL), 1);
    assert_int_equal(EVP_MAC_update(c->mac, k->body, (size_t)k->len), 1);
    assert_int_equal(EVP_MAC_final(c->mac, mac, &len, 32), 1);
}

static struct ticket issue(struct tls_tickets *t)
{
    struct contexts c = contexts_new();
    struct ticket k = {.len = 0};
    int n;

    assert_int_equal(tls_tickets_key(t, k.name, k.iv, c.cipher, c.mac, true), 1);
    assert_int_equal(EVP_EncryptUpdate(c.cipher, k.body, &n, (const unsigned char *)"state", 5), 1);
    k.len = n;
    assert_int_equal(EVP_EncryptFinal_ex(c.cipher, k.body + n, &n), 1);
    k.len += n;
    make_mac(&c, &k, k.mac);
    contexts_free(&c);
    return k;
}

/* 0: not; 1: it resumes; 2: and gets a new one. */
static int opens(struct tls_tickets *t, struct ticket k)
{
    struct contexts c = contexts_new();
    unsigned char mac[32], text[64];
    int n, m, rc = tls_tickets_key(t, k.name, k.iv, c.cipher, c.mac, false);

    if (rc > 0) {
        make_mac(&c, &k, mac);
        assert_memory_equal(mac, k.mac, 32);
        assert_int_equal(EVP_DecryptUpdate(c.cipher, text, &n, k.body, k.len), 1);
        assert_int_equal(EVP_DecryptFinal_ex(c.cipher, text + n, &m), 1);
        assert_int_equal(n + m, 5);
        assert_memory_equal(text, "state", 5);
    }
    contexts_free(&c);
    return rc;
}

static struct tls_tickets_facts facts_of(struct tls_tickets *t)
{
    struct tls_tickets_facts f;

    tls_tickets_facts(t, &f);
    return f;
}

static const struct tls_tickets_key_facts *issuer_of(const struct tls_tickets_facts *f)
{
    const struct tls_tickets_key_facts *found = NULL;

    for (size_t i = 0; i < f->count; i++)
        if (f->keys[i].issues) {
            assert_null(found);
            found = &f->keys[i];
        }
    assert_non_null(found);
    return found;
}

static bool issues(struct tls_tickets *t, const char *kind)
{
    struct tls_tickets_facts f = facts_of(t);

    return strcmp(issuer_of(&f)->kind, kind) == 0;
}

static size_t stored(struct tls_tickets *t)
{
    struct tls_tickets_facts f = facts_of(t);
    size_t n = 0;

    for (size_t i = 0; i < f.count; i++)
        n += strcmp(f.keys[i].kind, "stored") == 0;
    return n;
}

static bool same_issuer(struct tls_tickets *a, struct tls_tickets *b)
{
    struct tls_tickets_facts fa = facts_of(a), fb = facts_of(b);

    return strcmp(issuer_of(&fa)->name, issuer_of(&fb)->name) == 0;
}

static void gone(struct scene *s, bool is)
{
    for (size_t i = 0; i < NODES; i++)
        s->crowd->nodes[i].gone = is;
}

static void on_done(struct shared_call *c)
{
    (void)c; /* what it holds is cleared with it, or looked at */
}

/* ---- alone ---- */

static void alone_a_ticket_resumes_until_the_end_of_the_next_period(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *t = open_as(s, 0, ALONE, false, false);
    struct ticket k = issue(t);

    assert_true(issues(t, "own"));
    assert_int_equal(opens(t, k), 1);
    crowd_pass(s->crowd, P);
    assert_int_equal(opens(t, k), 2);
    assert_int_equal(opens(t, issue(t)), 1);
    crowd_pass(s->crowd, P);
    assert_int_equal(opens(t, k), 0);
    assert_int_equal(s->crowd->reads + s->crowd->puts, 0);
    assert_int_equal(tls_tickets_lifetime_s(t), 2 * P / 1000);
}

static void alone_keys_outlive_a_restart_in_a_file_for_nobody_else(void **state)
{
    struct scene *s = *state;
    struct ticket k = issue(open_as(s, 0, ALONE, false, true));
    struct tls_tickets *t;
    struct stat st;

    close_node(s, 0);
    assert_int_equal(stat(s->host[0].file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    t = open_as(s, 0, ALONE, false, true);
    assert_int_equal(opens(t, k), 1);
    close_node(s, 0);
    t = open_as(s, 1, ALONE, false, true);
    assert_int_equal(opens(t, k), 0); /* another node's file */
}

static void a_damaged_file_is_as_none(void **state)
{
    struct scene *s = *state;
    struct ticket k = issue(open_as(s, 0, ALONE, false, true));
    FILE *f;

    close_node(s, 0);
    f = fopen(s->host[0].file, "r+");
    fputs("WEIR", f);
    fclose(f);
    assert_int_equal(opens(open_as(s, 0, ALONE, false, true), k), 0);
    issue(s->host[0].t);
}

/* ---- a farm ---- */

static void a_ticket_of_one_node_resumes_on_all(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b = open_node(s, 1), *c = open_node(s, 2);

    assert_true(issues(a, "stored") && issues(b, "stored"));
    assert_true(same_issuer(a, b) && same_issuer(b, c));
    assert_int_equal(opens(b, issue(a)), 1);
    assert_int_equal(opens(a, issue(c)), 1);
    assert_int_equal(stored(a), 2); /* this period's, and already the next one's */
}

static void the_next_key_is_everywhere_a_period_before_it_is_used(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b = open_node(s, 1);

    for (int i = 0; i < 5; i++) {
        crowd_pass(s->crowd, P - 20000);
        for (int n = 0; n < 2; n++) {
            struct tls_tickets_facts f = facts_of(n == 0 ? a : b);
            bool next = false;

            for (size_t k = 0; k < f.count; k++)
                next = next ||
                       (strcmp(f.keys[k].use, "next") == 0 &&
                        strcmp(f.keys[k].kind, "stored") == 0 && f.keys[k].begins_ms > f.now_ms);
            assert_true(next);
        }
        crowd_pass(s->crowd, 20000);
        assert_true(same_issuer(a, b));
    }
}

static void a_ticket_outlives_one_rotation_and_not_two(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b = open_node(s, 1);
    struct ticket k = issue(a);

    crowd_pass(s->crowd, P);
    assert_int_equal(opens(a, k), 2);
    assert_int_equal(opens(b, k), 2);
    crowd_pass(s->crowd, P);
    assert_int_equal(opens(a, k), 0);
    assert_int_equal(opens(b, k), 0);
}

/* Together at the start, all of them want to make the same keys. */
static void of_many_who_make_a_key_one_wins(void **state)
{
    struct scene *s = *state;

    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < NODES; i++) {
            struct host *h = &s->host[i];
            struct tls_tickets_options o = {.key = &s->key,
                                            .farm = CROWD_FARM,
                                            .rotation_ms = P,
                                            .seed = i + 1};

            h->node = crowd_open(s->crowd, i);
            h->node->owner = h;
            h->node->turn = turn;
            o.port = h->node->port;
            o.loop = &h->node->loop;
            h->t = tls_tickets_new(&o, NULL);
        }
        crowd_pass(s->crowd, 500);
        for (size_t i = 1; i < NODES; i++)
            assert_true(same_issuer(s->host[0].t, s->host[i].t));
        assert_true(issues(s->host[0].t, "stored"));
        for (size_t i = 0; i < NODES; i++)
            close_node(s, i);
        crowd_pass(s->crowd, 3 * P); /* what is there has ended */
    }
}

static void a_late_joiner_opens_what_was_issued_before_it_came(void **state)
{
    struct scene *s = *state;
    struct ticket early = issue(open_node(s, 0)), late;
    struct tls_tickets *c;

    crowd_pass(s->crowd, P);
    late = issue(s->host[0].t);
    c = open_node(s, 1);
    assert_int_equal(opens(c, early), 2);
    assert_int_equal(opens(c, late), 1);
}

/* ---- without shared state ---- */

static void nodes_that_never_saw_it_agree(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_as(s, 0, IN_FARM, true, false),
                       *b = open_as(s, 1, IN_FARM, true, false);
    struct ticket k = issue(a);

    assert_true(issues(a, "derived") && same_issuer(a, b));
    assert_int_equal(opens(b, k), 1);
    crowd_pass(s->crowd, P);
    assert_int_equal(opens(b, k), 2);
    crowd_pass(s->crowd, P);
    assert_int_equal(opens(b, k), 0);
}

static void tickets_go_both_ways_between_who_has_it_and_who_lost_it(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *lost = open_node(s, 1), *never;

    s->crowd->nodes[1].gone = true;
    never = open_as(s, 2, IN_FARM, true, false);
    assert_true(issues(lost, "stored")); /* it knows it */
    assert_int_equal(opens(a, issue(lost)), 1);
    assert_int_equal(opens(lost, issue(a)), 1);
    assert_int_equal(opens(a, issue(never)), 2); /* and gets the farm's at once */
    assert_int_equal(opens(lost, issue(never)), 2);
    crowd_pass(s->crowd, P);
    assert_true(issues(lost, "stored")); /* it had the next one, too */
    assert_int_equal(opens(a, issue(lost)), 1);
    crowd_pass(s->crowd, P);
    assert_true(issues(lost, "derived"));
    assert_int_equal(opens(a, issue(lost)), 2);
    assert_int_equal(opens(never, issue(lost)), 1);
    assert_int_equal(opens(lost, issue(a)), 0); /* which is a full handshake */
}

static void back_again_all_have_one_key(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b = open_node(s, 1);
    struct ticket k;

    gone(s, true);
    crowd_pass(s->crowd, 3 * P);
    assert_true(issues(a, "derived") && same_issuer(a, b));
    k = issue(a);
    gone(s, false);
    crowd_pass(s->crowd, P / 4);
    assert_true(issues(a, "stored") && same_issuer(a, b));
    assert_int_equal(opens(b, k), 2);
}

static void a_restart_without_it_keeps_the_stored_keys_from_the_file(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *b;
    struct ticket k = issue(open_as(s, 0, IN_FARM, false, true));

    open_as(s, 1, IN_FARM, false, true);
    close_node(s, 0);
    close_node(s, 1);
    b = open_as(s, 1, IN_FARM, true, true);
    assert_true(issues(b, "stored"));
    assert_int_equal(opens(b, k), 1);
}

static void what_was_flushed_is_put_back_as_it_was(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b;
    struct ticket k = issue(a);
    struct shared_call c = {.done = NULL};

    c.area = SHARED_STATE;
    c.timeout_ms = 500;
    c.done = on_done;
    shared_remove(s->host[0].node->port, &c, WEIR_SPAN_LIT("w1:{T." CROWD_FARM "}:k"));
    crowd_run(s->crowd);
    crowd_pass(s->crowd, P / 4 + 500);
    b = open_node(s, 1);
    assert_true(same_issuer(a, b));
    assert_int_equal(opens(b, k), 1);
}

/* ---- clocks ---- */

static void hosts_whose_clocks_are_wrong_switch_with_the_others(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b;

    b = open_node(s, 1);
    s->crowd->nodes[1].clock.wall_ms += 40 * P; /* only until the shared clock is known */
    crowd_pass(s->crowd, P);
    assert_true(same_issuer(a, b));
    assert_int_equal(facts_of(a).now_ms / 1000, facts_of(b).now_ms / 1000);
    assert_int_equal(opens(b, issue(a)), 1);
}

static void a_node_that_is_a_little_early_is_understood(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_as(s, 0, IN_FARM, true, false), *b;

    s->crowd->nodes[1].clock.wall_ms = 0;
    b = open_as(s, 1, IN_FARM, true, false);
    s->crowd->nodes[1].clock.wall_ms += P; /* it lives in the next period already */
    crowd_pass(s->crowd, 20);
    assert_false(same_issuer(a, b));
    assert_int_equal(opens(a, issue(b)), 1); /* nothing newer to give */
    assert_int_equal(opens(b, issue(a)), 2);
}

/* ---- what others put there ---- */

static void put_entry(struct scene *s, const char *id, struct weir_span bytes)
{
    static const struct shared_board board = {.key = WEIR_SPAN_LIT("w1:{T." CROWD_FARM "}:k"),
                                              .channel = WEIR_SPAN_LIT("w1:{T." CROWD_FARM "}:ch")};
    struct shared_post post = {.id = weir_span_str(id), .bytes = bytes, .ttl_ms = 4 * P};
    struct shared_call c = {.done = NULL};

    c.area = SHARED_STATE;
    c.timeout_ms = 500;
    c.done = on_done;
    shared_board_put(s->host[0].node->port, &c, &board, &post, 1, WEIR_SPAN_LIT("k"));
    crowd_run(s->crowd);
}

static void forged_and_damaged_keys_are_counted_and_not_used(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0);
    struct tls_tickets_facts f = facts_of(a), after;
    char junk[200], id[48];

    memset(junk, 'x', sizeof junk);
    weir_log_set_level(WEIR_LOG_ERROR + 1);
    snprintf(id, sizeof id, "%lld.%lld", (long long)P, (long long)(f.now_ms / P));
    put_entry(s, id, weir_span(junk, 128));
    put_entry(s, "nonsense", weir_span(junk, sizeof junk));
    put_entry(s, "", WEIR_SPAN_NONE);
    crowd_pass(s->crowd, 200);
    after = facts_of(a);
    assert_true(after.refused >= 2);
    assert_true(same_issuer(a, a));
    assert_string_equal(issuer_of(&after)->name, issuer_of(&f)->name);
    assert_int_equal(opens(a, issue(a)), 1);
}

/* A node that comes now has to do without it: the derived key, which all open. */
static void where_a_key_was_overwritten_newcomers_use_the_derived_one(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b;
    struct tls_tickets_facts f = facts_of(a);
    char id[48];

    snprintf(id, sizeof id, "%lld.%lld", (long long)P, (long long)(f.now_ms / P));
    put_entry(s, id, WEIR_SPAN_LIT("gone"));
    b = open_node(s, 1);
    assert_true(issues(b, "derived"));
    assert_int_equal(opens(a, issue(b)), 2);
    crowd_pass(s->crowd, P);
    assert_true(same_issuer(a, b)); /* the next one was left alone */
}

static void an_old_key_cannot_be_shown_again_for_another_period(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0);
    const struct shared_board board = {.key = WEIR_SPAN_LIT("w1:{T." CROWD_FARM "}:k")};
    struct shared_call c = {.done = NULL};
    char kept[256], id[48];
    uint64_t refused;
    size_t len;

    c.area = SHARED_STATE;
    c.timeout_ms = 500;
    c.done = on_done;
    shared_board_read(s->host[0].node->port, &c, &board);
    crowd_run(s->crowd);
    assert_int_equal(c.note_count, 2);
    len = c.notes[0].bytes.len;
    memcpy(kept, c.notes[0].bytes.ptr, len);
    shared_call_clear(&c);
    crowd_pass(s->crowd, 2 * P);
    refused = facts_of(a).refused;
    snprintf(id, sizeof id, "%lld.%lld", (long long)P, (long long)(facts_of(a).now_ms / P + 1));
    put_entry(s, id, weir_span(kept, len));
    crowd_pass(s->crowd, 200);
    assert_true(facts_of(a).refused > refused);
}

/* ---- a change of the period ---- */

static void nodes_with_another_rotation_open_each_others_tickets(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0), *b = open_node(s, 1);
    struct ticket before = issue(b);

    tls_tickets_rotate(b, 2 * P);
    crowd_pass(s->crowd, 1000);
    assert_true(issues(b, "stored"));
    assert_int_equal(opens(b, before), 2);
    assert_int_equal(opens(b, issue(a)), 2);
    assert_true(opens(a, issue(b)) > 0);
    tls_tickets_rotate(a, 2 * P);
    crowd_pass(s->crowd, 1000);
    assert_true(same_issuer(a, b));
    assert_int_equal(tls_tickets_lifetime_s(a), 4 * P / 1000);
}

static void nobody_knows_the_key_of_a_foreign_ticket(void **state)
{
    struct scene *s = *state;
    struct tls_tickets *a = open_node(s, 0);
    struct ticket k = issue(a);

    k.name[3] ^= 1;
    assert_int_equal(opens(a, k), 0);
}

#ifdef WEIR_FAULTS
static void without_memory_it_is_not_made_and_nothing_is_lost(void **state)
{
    struct scene *s = *state;
    struct tls_tickets_options o = {.key = &s->key,
                                    .farm = CROWD_FARM,
                                    .file = s->host[0].file,
                                    .pool = s->pool,
                                    .box = &s->box,
                                    .rotation_ms = P,
                                    .seed = 1};
    struct crowd_node *n = crowd_open(s->crowd, 0);
    struct tls_tickets *t = NULL;

    o.port = n->port;
    o.loop = &n->loop;
    weir_log_set_level(WEIR_LOG_ERROR + 1);
    for (unsigned long at = 1; t == NULL || weir_alloc_failed(); at++) {
        tls_tickets_free(t);
        weir_alloc_fail_at(at);
        t = tls_tickets_new(&o, NULL);
        crowd_run(s->crowd);
    }
    weir_alloc_fail_at(0);
    assert_int_equal(opens(t, issue(t)), 1);
    tls_tickets_free(t);
    crowd_close(n);
}
#endif

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(alone_a_ticket_resumes_until_the_end_of_the_next_period),
        T(alone_keys_outlive_a_restart_in_a_file_for_nobody_else),
        T(a_damaged_file_is_as_none),
        T(a_ticket_of_one_node_resumes_on_all),
        T(the_next_key_is_everywhere_a_period_before_it_is_used),
        T(a_ticket_outlives_one_rotation_and_not_two),
        T(of_many_who_make_a_key_one_wins),
        T(a_late_joiner_opens_what_was_issued_before_it_came),
        T(nodes_that_never_saw_it_agree),
        T(tickets_go_both_ways_between_who_has_it_and_who_lost_it),
        T(back_again_all_have_one_key),
        T(a_restart_without_it_keeps_the_stored_keys_from_the_file),
        T(what_was_flushed_is_put_back_as_it_was),
        T(hosts_whose_clocks_are_wrong_switch_with_the_others),
        T(a_node_that_is_a_little_early_is_understood),
        T(forged_and_damaged_keys_are_counted_and_not_used),
        T(where_a_key_was_overwritten_newcomers_use_the_derived_one),
        T(an_old_key_cannot_be_shown_again_for_another_period),
        T(nodes_with_another_rotation_open_each_others_tickets),
        T(nobody_knows_the_key_of_a_foreign_ticket),
#ifdef WEIR_FAULTS
        T(without_memory_it_is_not_made_and_nothing_is_lost),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
