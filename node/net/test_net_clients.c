#include "net_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "weir/container.h"

struct conn {
    struct net_client client;
    struct net_clients *all;
    int closes, drains, polite;
    bool reset, busy;
};

static void on_close(struct net_client *client, bool reset)
{
    struct conn *c = WEIR_CONTAINER(client, struct conn, client);

    c->closes++;
    c->reset = reset;
    net_clients_leave(c->all, client);
}

static void on_drain(struct net_client *client)
{
    struct conn *c = WEIR_CONTAINER(client, struct conn, client);

    c->drains++;
    if (!c->busy)
        on_close(client, false);
}

static void on_polite(struct net_client *client)
{
    WEIR_CONTAINER(client, struct conn, client)->polite++;
}

static const struct net_client_ops ops = {on_close, on_drain, on_polite};
static const struct net_client_ops shy = {on_close, on_drain, NULL};

struct hall {
    struct weir_hash_secret secret;
    struct weir_metrics metrics;
    struct net_clients all;
    struct conn c[4];
    int drained, closed;
};

static void on_drained(void *arg)
{
    ((struct hall *)arg)->drained++;
}

static void on_closed(void *arg)
{
    ((struct hall *)arg)->closed++;
}

static void open_hall(struct hall *h)
{
    memset(h, 0, sizeof *h);
    assert_true(weir_hash_secret_draw(&h->secret, NULL));
    h->all = (struct net_clients){.peers = net_peers_new(&h->secret, NULL),
                                  .metrics = &h->metrics,
                                  .drained = on_drained,
                                  .drained_arg = h,
                                  .closed = on_closed,
                                  .closed_arg = h};
    for (unsigned i = 0; i < 4; i++) {
        h->c[i].client = (struct net_client){.ops = &ops, .chan = NET_CHAN_NONE};
        h->c[i].client.peer = (struct net_peer){AF_INET, 1000, {192, 0, 2, 1}};
        h->c[i].all = &h->all;
    }
}

static void close_hall(struct hall *h)
{
    net_clients_abort(&h->all);
    assert_int_equal(h->all.count, 0);
    assert_null(h->all.all);
    assert_null(h->all.oldest_idle);
    assert_null(h->all.newest_idle);
    assert_int_equal(net_peers_count(h->all.peers), 0);
    assert_int_equal(h->metrics.value[WEIR_M_connections_open], 0);
    net_peers_free(h->all.peers);
}

static const struct net_clients_limits roomy = {100, 100};

static void a_full_node_gives_up_its_oldest_idle_connection(void **state)
{
    struct net_clients_limits two = {2, 0};
    struct hall h;

    (void)state;
    open_hall(&h);
    assert_true(net_clients_enter(&h.all, &h.c[0].client, two));
    assert_true(net_clients_enter(&h.all, &h.c[1].client, two));
    assert_false(net_clients_enter(&h.all, &h.c[2].client, two)); /* nobody is idle */
    net_clients_idle(&h.all, &h.c[1].client, true);
    net_clients_idle(&h.all, &h.c[0].client, true);
    assert_true(net_clients_enter(&h.all, &h.c[2].client, two));
    assert_int_equal(h.c[1].closes, 1);
    assert_false(h.c[1].reset);
    assert_int_equal(h.c[0].closes, 0);
    assert_int_equal(h.metrics.value[WEIR_M_connections_accepted], 3);
    assert_int_equal(h.metrics.value[WEIR_M_connections_refused], 1);
    assert_int_equal(h.metrics.value[WEIR_M_connections_open], 2);
    close_hall(&h);
}

static void one_client_gets_no_more_than_its_share(void **state)
{
    struct net_clients_limits share = {100, 1};
    struct hall h;

    (void)state;
    open_hall(&h);
    assert_true(net_clients_enter(&h.all, &h.c[0].client, share));
    net_clients_idle(&h.all, &h.c[0].client, true);
    assert_false(net_clients_enter(&h.all, &h.c[1].client, share));
    assert_int_equal(h.c[0].closes, 0); /* others do not pay for it */
    h.c[1].client.peer.ip[3] = 2;
    assert_true(net_clients_enter(&h.all, &h.c[1].client, share));
    close_hall(&h);
}

static void a_renamed_connection_counts_for_the_client_behind(void **state)
{
    struct net_clients_limits share = {100, 1};
    struct net_peer behind = {AF_INET, 7, {198, 51, 100, 9}};
    struct hall h;

    (void)state;
    open_hall(&h);
    assert_true(net_clients_enter(&h.all, &h.c[0].client, share));
    assert_true(net_clients_rename(&h.all, &h.c[0].client, &behind, share));
    assert_memory_equal(&h.c[0].client.peer, &behind, sizeof behind);
    assert_int_equal(net_peers_count(h.all.peers), 1);
    assert_true(net_clients_enter(&h.all, &h.c[1].client, share)); /* the old name is free */
    assert_false(net_clients_rename(&h.all, &h.c[1].client, &behind, share));
    assert_int_equal(h.c[1].client.peer.ip[0], 192); /* and stays as it was */
    assert_int_equal(net_peers_count(h.all.peers), 2);
    close_hall(&h);
}

static void a_connection_of_another_kind_keeps_its_place(void **state)
{
    struct net_peer local = {AF_INET, 443, {203, 0, 113, 1}};
    struct hall h;

    (void)state;
    open_hall(&h);
    for (unsigned i = 0; i < 3; i++)
        assert_true(net_clients_enter(&h.all, &h.c[i].client, roomy));
    h.c[1].client.chan.fd = 77;
    h.c[1].client.local = local;
    h.c[1].client.tls = (const struct tls_facts *)(const void *)&h;
    h.c[1].client.entry = (const struct front_entry *)(const void *)&h;
    net_clients_idle(&h.all, &h.c[1].client, true);
    net_clients_replace(&h.all, &h.c[1].client, &h.c[3].client);
    assert_int_equal(h.all.count, 3);
    assert_int_equal(h.c[3].client.chan.fd, 77);
    assert_int_equal(h.c[3].client.local.port, 443);
    assert_non_null(h.c[3].client.tls);
    assert_non_null(h.c[3].client.entry);
    assert_int_equal(h.c[1].client.chan.fd, -1);
    assert_null(h.c[1].client.entry);
    assert_null(h.all.oldest_idle);
    net_clients_shed(&h.all);
    assert_int_equal(h.c[3].closes, 0);
    net_clients_abort(&h.all);
    assert_int_equal(h.c[1].closes, 0);
    assert_int_equal(h.c[3].closes, 1);
    assert_true(h.c[3].reset);
    close_hall(&h);
}

static void idle_ones_are_shed_oldest_first(void **state)
{
    struct hall h;

    (void)state;
    open_hall(&h);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(net_clients_enter(&h.all, &h.c[i].client, roomy));
        net_clients_idle(&h.all, &h.c[i].client, true);
        net_clients_idle(&h.all, &h.c[i].client, true); /* harmless */
    }
    net_clients_idle(&h.all, &h.c[1].client, false); /* out of the middle */
    net_clients_idle(&h.all, &h.c[1].client, false);
    assert_ptr_equal(h.all.oldest_idle, &h.c[0].client);
    assert_ptr_equal(h.all.oldest_idle->newer_idle, &h.c[2].client);
    net_clients_idle(&h.all, &h.c[3].client, false); /* the newest */
    assert_ptr_equal(h.all.newest_idle, &h.c[2].client);
    net_clients_shed(&h.all);
    assert_int_equal(h.c[0].closes + h.c[2].closes, 2);
    assert_int_equal(h.c[1].closes + h.c[3].closes, 0);
    assert_int_equal(h.closed, 2);
    close_hall(&h);
}

static void draining_tells_each_and_is_over_with_the_last(void **state)
{
    struct hall h;

    (void)state;
    open_hall(&h);
    for (unsigned i = 0; i < 3; i++)
        assert_true(net_clients_enter(&h.all, &h.c[i].client, roomy));
    h.c[0].client.ops = &shy;
    h.c[1].busy = true;
    net_clients_be_polite(&h.all);
    assert_int_equal(h.c[0].polite, 0);
    assert_int_equal(h.c[1].polite, 1);
    assert_true(h.all.polite);
    assert_false(h.all.draining);
    net_clients_drain(&h.all);
    assert_int_equal(h.c[0].drains + h.c[1].drains + h.c[2].drains, 3);
    assert_int_equal(h.drained, 0);
    on_close(&h.c[1].client, false);
    assert_int_equal(h.drained, 1);
    close_hall(&h);
}

static void an_empty_worker_has_drained_at_once(void **state)
{
    struct hall h;

    (void)state;
    open_hall(&h);
    net_clients_drain(&h.all);
    assert_int_equal(h.drained, 1);
    close_hall(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_node_gives_up_its_oldest_idle_connection),
        cmocka_unit_test(one_client_gets_no_more_than_its_share),
        cmocka_unit_test(a_renamed_connection_counts_for_the_client_behind),
        cmocka_unit_test(a_connection_of_another_kind_keeps_its_place),
        cmocka_unit_test(idle_ones_are_shed_oldest_first),
        cmocka_unit_test(draining_tells_each_and_is_over_with_the_last),
        cmocka_unit_test(an_empty_worker_has_drained_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
