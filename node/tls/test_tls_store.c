/* Certificates by name: found, shown, refused. Each test has a folder of its own. */
#include "tls_store.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "tls_own.h"
#include "tls_samples.h"

#define FILES_MAX 16

struct fixture {
    char directory[64];
    char files[FILES_MAX][128];
    unsigned count;
    struct tls_certificate_settings rows[FILES_MAX];
    struct tls_settings settings;
    struct weir_err err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    strcpy(f->directory, "/tmp/weir-store-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->settings.certificates = f->rows;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < f->count; i++)
        unlink(f->files[i]);
    rmdir(f->directory);
    free(f);
    return 0;
}

static const char *path_of(struct fixture *f, const char *name)
{
    char *path = f->files[f->count++];

    assert_true(f->count <= FILES_MAX);
    memcpy(path, f->directory, sizeof f->directory);
    strcat(strcat(path, "/"), name);
    return path;
}

/* A certificate with its key in one file, as a row of the settings. */
static const char *add_sample(struct fixture *f, const char *file, const char *kind,
                              const char *names)
{
    struct tls_sample s =
        tls_sample_make(&(struct tls_sample_options){.kind = kind, .names = names});
    const char *path = path_of(f, file);

    tls_sample_write_certificate(path, &s);
    tls_sample_write_key(path, &s, 0600);
    tls_sample_free(&s);
    f->rows[f->settings.certificate_count++].certificate = path;
    return path;
}

static struct tls_store *load(struct fixture *f)
{
    struct tls_store_options o = {.settings = &f->settings, .now_s = time(NULL)};

    return tls_store_new(&o, &f->err);
}

static struct tls_store *must_load(struct fixture *f)
{
    struct tls_store *s = load(f);

    if (s == NULL)
        fail_msg("%s", f->err.detail);
    return s;
}

static void must_refuse(struct fixture *f, const char *file, const char *why)
{
    assert_null(load(f));
    if (strstr(f->err.detail, file) == NULL || strstr(f->err.detail, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\" of %s", f->err.detail, why, file);
}

/* ---- handshakes in memory ---- */

struct hello {
    const char *name; /* NULL: no SNI */
    const char *sigalgs;
    const char *ciphers; /* of TLS 1.2, which is then the version */
    bool wants_staple;
};

struct seen {
    bool ok;
    const struct tls_certificate *chosen;
    int kind;  /* EVP_PKEY_EC ... */
    int chain; /* certificates that came */
    long staple;
    char error[160];
};

struct server {
    struct tls_store *store;
    struct seen *seen;
};

static int on_certificate(SSL *ssl, void *arg)
{
    struct server *sv = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct weir_err err = {0};

    if (tls_store_choose(sv->store, ssl, name != NULL ? name : "", &sv->seen->chosen, &err))
        return 1;
    snprintf(sv->seen->error, sizeof sv->seen->error, "%s", err.detail);
    return 0;
}

static void prepare(SSL *client, const struct hello *h)
{
    if (h->name != NULL)
        assert_int_equal(SSL_ctrl(client, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                  (void *)(uintptr_t)h->name),
                         1);
    if (h->sigalgs != NULL)
        assert_int_equal(SSL_ctrl(client, SSL_CTRL_SET_SIGALGS_LIST, 0,
                                  (void *)(uintptr_t)h->sigalgs),
                         1);
    if (h->ciphers != NULL) {
        SSL_set_max_proto_version(client, TLS1_2_VERSION);
        assert_int_equal(SSL_set_cipher_list(client, h->ciphers), 1);
    }
    if (h->wants_staple)
        SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
}

static struct seen shake(struct tls_store *store, const struct hello *h)
{
    struct seen seen = {0};
    struct server sv = {store, &seen};
    SSL_CTX *sc = SSL_CTX_new(TLS_server_method()), *cc = SSL_CTX_new(TLS_client_method());
    SSL *server, *client;
    BIO *a, *b;
    int sd = 0, cd = 0;

    SSL_CTX_set_cert_cb(sc, on_certificate, &sv);
    SSL_CTX_set_tlsext_status_cb(sc, tls_store_status);
    server = SSL_new(sc);
    client = SSL_new(cc);
    prepare(client, h);
    BIO_new_bio_pair(&a, 0, &b, 0);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    for (int i = 0; i < 10 && (sd != 1 || cd != 1); i++) {
        cd = SSL_connect(client);
        sd = SSL_accept(server);
    }
    seen.ok = sd == 1 && cd == 1;
    if (seen.ok) {
        const unsigned char *bytes;
        X509 *x = SSL_get0_peer_certificate(client);

        seen.kind = EVP_PKEY_get_base_id(X509_get0_pubkey(x));
        seen.chain = sk_X509_num(SSL_get_peer_cert_chain(client));
        seen.staple = SSL_get_tlsext_status_ocsp_resp(client, &bytes);
    }
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(sc);
    SSL_CTX_free(cc);
    return seen;
}

static const struct tls_certificate *chosen_for(struct tls_store *s, const char *name)
{
    struct seen seen = shake(s, &(struct hello){.name = name});

    if (!seen.ok)
        fail_msg("no handshake for %s: %s", name, seen.error);
    return seen.chosen;
}

static bool covers(const struct tls_certificate *c, const char *host)
{
    return tls_covers(c, weir_span_str(host));
}

/* ---- by name ---- */

static void a_name_gets_its_certificate_and_another_one_the_first(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s;

    add_sample(f, "a", NULL, "DNS:a.example,DNS:www.a.example");
    add_sample(f, "b", NULL, "DNS:b.example");
    s = must_load(f);
    assert_ptr_equal(chosen_for(s, "a.example"), s->certificates[0]);
    assert_ptr_equal(chosen_for(s, "www.a.example"), s->certificates[0]);
    assert_ptr_equal(chosen_for(s, "b.example"), s->certificates[1]);
    assert_ptr_equal(chosen_for(s, "c.example"), s->certificates[0]);
    assert_ptr_equal(tls_store_find(s, "b.example"), s->certificates[1]);
    assert_ptr_equal(tls_store_find(s, ""), s->certificates[0]);
    assert_ptr_equal(shake(s, &(struct hello){0}).chosen, s->certificates[0]);
    tls_store_unref(s);
}

static void a_wildcard_stands_for_one_label_and_an_exact_name_wins(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s;

    add_sample(f, "default", NULL, "DNS:default.example");
    add_sample(f, "wild", NULL, "DNS:*.a.example");
    add_sample(f, "exact", NULL, "DNS:x.a.example");
    s = must_load(f);
    assert_ptr_equal(chosen_for(s, "y.a.example"), s->certificates[1]);
    assert_ptr_equal(chosen_for(s, "x.a.example"), s->certificates[2]);
    assert_ptr_equal(chosen_for(s, "a.example"), s->certificates[0]);
    assert_ptr_equal(chosen_for(s, "z.y.a.example"), s->certificates[0]);
    tls_store_unref(s);
}

static void a_certificate_covers_what_it_names(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s;
    const struct tls_certificate *c;

    add_sample(f, "a", NULL, "DNS:A.Example,DNS:*.b.example,IP:192.0.2.1,IP:2001:db8::1");
    s = must_load(f);
    c = s->certificates[0];
    assert_true(covers(c, "a.example") && covers(c, "a.example.") && covers(c, "x.b.example"));
    assert_true(covers(c, "192.0.2.1") && covers(c, "2001:db8::1"));
    assert_false(covers(c, "b.example") || covers(c, "x.y.b.example") || covers(c, ".b.example"));
    assert_false(covers(c, "") || covers(c, ".") || covers(c, "192.0.2.2") || covers(c, "a"));
    assert_false(covers(c, "a host")); /* the common name counts only without names */
    tls_store_unref(s);
}

static void ecdsa_goes_before_rsa_for_who_can_use_it(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s;

    add_sample(f, "rsa", "RSA", "DNS:a.example");
    add_sample(f, "ec", "P-256", "DNS:a.example");
    s = must_load(f);
    assert_int_equal(shake(s, &(struct hello){.name = "a.example"}).kind, EVP_PKEY_EC);
    assert_int_equal(
        shake(s, &(struct hello){.name = "a.example", .sigalgs = "RSA-PSS+SHA256"}).kind,
        EVP_PKEY_RSA);
    assert_int_equal(shake(s, &(struct hello){.name = "a.example",
                                              .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"})
                         .kind,
                     EVP_PKEY_RSA);
    assert_int_equal(shake(s, &(struct hello){.name = "a.example",
                                              .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"})
                         .kind,
                     EVP_PKEY_EC);
    /* and without a name: the default's sibling that fits */
    assert_int_equal(shake(s, &(struct hello){.sigalgs = "ECDSA+SHA256"}).kind, EVP_PKEY_EC);
    tls_store_unref(s);
}

static void every_kind_of_key_shakes_hands(void **state)
{
    static const char *const kinds[] = {"P-256", "P-384", "P-521", "Ed25519", "RSA"};

    for (unsigned i = 0; i < 5; i++) {
        struct fixture *f;
        struct tls_store *s;

        set_up((void **)&f);
        add_sample(f, "a", kinds[i], "DNS:a.example");
        s = must_load(f);
        assert_true(shake(s, &(struct hello){.name = "a.example"}).ok);
        tls_store_unref(s);
        tear_down((void **)&f);
    }
    (void)state;
}

static void only_long_rsa_keys_are_slow(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s;

    add_sample(f, "a", "RSA", "DNS:a.example");
    add_sample(f, "b", "RSA-4096", "DNS:b.example");
    add_sample(f, "c", "P-384", "DNS:c.example");
    s = must_load(f);
    assert_false(tls_certificate_slow(s->certificates[0]));
    assert_true(tls_certificate_slow(s->certificates[1]));
    assert_false(tls_certificate_slow(s->certificates[2]));
    tls_store_unref(s);
}

static void an_expired_certificate_is_shown_only_without_another(void **state)
{
    struct fixture *f = *state;
    struct tls_sample old = tls_sample_make(
        &(struct tls_sample_options){.names = "DNS:a.example", .from_s = -100, .to_s = -10});
    const char *path = path_of(f, "old");
    struct tls_store_summary sum;
    struct tls_store *s;

    tls_sample_write_certificate(path, &old);
    tls_sample_write_key(path, &old, 0600);
    tls_sample_free(&old);
    f->rows[f->settings.certificate_count++].certificate = path;
    add_sample(f, "new", "RSA", "DNS:a.example");
    s = must_load(f);
    assert_ptr_equal(chosen_for(s, "a.example"), s->certificates[1]);
    tls_store_sum(s, time(NULL), &sum);
    assert_true(sum.nearest_expiry_s < time(NULL));
    assert_int_equal(sum.certificates, 2);
    assert_int_equal(sum.expired, 1);
    assert_int_equal(sum.expiring, 1);
    tls_store_unref(s);
}

/* ---- files ---- */

static void chains_are_sent_and_their_bytes_shared(void **state)
{
    struct fixture *f = *state;
    struct tls_sample ca = tls_sample_make(&(struct tls_sample_options){.authority = true});
    struct tls_store *s;

    for (int i = 0; i < 2; i++) {
        struct tls_sample leaf = tls_sample_make(
            &(struct tls_sample_options){.names = i != 0 ? "DNS:b.example" : "DNS:a.example",
                                         .issuer = &ca});
        const char *path = path_of(f, i != 0 ? "b" : "a"), *key = path_of(f, i != 0 ? "bk" : "ak");

        tls_sample_write_certificate(path, &leaf);
        tls_sample_write_certificate(path, &ca);
        tls_sample_write_old_key(key, &leaf, 0400);
        f->rows[f->settings.certificate_count++] =
            (struct tls_certificate_settings){.certificate = path, .key = key};
        tls_sample_free(&leaf);
    }
    s = must_load(f);
    assert_int_equal(shake(s, &(struct hello){.name = "b.example"}).chain, 2);
    assert_ptr_equal(s->certificates[0]->chain[0], s->certificates[1]->chain[0]);
    assert_true(s->certificates[0]->chain_complete);
    tls_sample_free(&ca);
    tls_store_unref(s);
}

static void a_chain_in_disorder_is_seen(void **state)
{
    struct fixture *f = *state;
    struct tls_sample ca = tls_sample_make(&(struct tls_sample_options){.authority = true});
    struct tls_sample stray = tls_sample_make(&(struct tls_sample_options){.names = "DNS:z"});
    struct tls_sample leaf =
        tls_sample_make(&(struct tls_sample_options){.names = "DNS:a.example", .issuer = &ca});
    const char *path = path_of(f, "a");
    struct tls_store *s;

    tls_sample_write_certificate(path, &leaf);
    tls_sample_write_certificate(path, &stray);
    tls_sample_write_key(path, &leaf, 0600);
    f->rows[f->settings.certificate_count++].certificate = path;
    s = must_load(f);
    assert_false(s->certificates[0]->chain_complete);
    tls_sample_free(&ca);
    tls_sample_free(&stray);
    tls_sample_free(&leaf);
    tls_store_unref(s);
}

static void a_directory_gives_all_its_pairs(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"a.crt", "b.pem", "c.pem", "README"};
    struct tls_store *s;

    for (unsigned i = 0; i < 3; i++) {
        struct tls_sample x =
            tls_sample_make(&(struct tls_sample_options){.names = i == 0   ? "DNS:a"
                                                                  : i == 1 ? "DNS:b"
                                                                           : "DNS:c"});
        const char *path = path_of(f, names[i]);

        tls_sample_write_certificate(path, &x);
        tls_sample_write_key(i == 2 ? path : path_of(f, i == 0 ? "a.key" : "b.key"), &x, 0600);
        tls_sample_free(&x);
    }
    fclose(fopen(path_of(f, names[3]), "w"));
    f->settings.directory = f->directory;
    s = must_load(f);
    assert_int_equal(tls_store_count(s), 3);
    assert_true(covers(chosen_for(s, "c"), "c"));
    tls_store_unref(s);
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    static const char *const kinds[] = {"P-256", "RSA", "Ed25519", "P-384"};

    for (unsigned i = 0; i < 16; i++) {
        struct fixture *f;
        struct tls_sample a, b;
        const char *path;

        set_up((void **)&f);
        a = tls_sample_make(&(struct tls_sample_options){.kind = kinds[i % 4], .names = "DNS:a"});
        b = tls_sample_make(&(struct tls_sample_options){.kind = kinds[i / 4], .names = "DNS:a"});
        path = path_of(f, "a.pem");
        tls_sample_write_certificate(path, &a);
        if (i % 2 != 0 && i / 4 != 2)
            tls_sample_write_old_key(path, &b, 0600);
        else
            tls_sample_write_key(path, &b, 0600);
        f->rows[f->settings.certificate_count++].certificate = path;
        must_refuse(f, path, "does not belong to the certificate");
        tls_sample_free(&a);
        tls_sample_free(&b);
        tear_down((void **)&f);
    }
    (void)state;
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    static const struct {
        mode_t mode;
        uid_t owner;
        bool ok;
    } cases[] = {{0600, 0, true},  {0400, 0, true},     {0640, 0, true},     {0440, 0, true},
                 {0644, 0, false}, {0604, 0, false},    {0660, 0, false},    {0620, 0, false},
                 {0601, 0, false}, {0600, 65534, true}, {0640, 65534, false}};
    struct fixture *f = *state;
    const char *path = add_sample(f, "a.pem", NULL, "DNS:a");

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (getuid() != 0 && (cases[i].owner != 0 || (cases[i].mode & 0040) != 0))
            continue; /* only root can give files away, and to root */
        if (getuid() == 0)
            assert_int_equal(chown(path, cases[i].owner, 0), 0);
        assert_int_equal(chmod(path, cases[i].mode), 0);
        if (cases[i].ok)
            tls_store_unref(must_load(f));
        else
            must_refuse(f, path, "chmod 600");
    }
}

static void write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    fputs(text, out);
    fclose(out);
    chmod(path, 0600);
}

static void what_is_wrong_with_a_file_is_said(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "is empty"},
        {"hello\n", "holds no certificate"},
        {"-----BEGIN CERTIFICATE-----\nMIIB\n", "does not end"},
        {"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "no base64"},
        {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "malformed"},
        {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "no base64"},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
         "encrypted"},
        {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n"
         "-----END RSA PRIVATE KEY-----\n",
         "encrypted"},
    };
    struct fixture *f = *state;
    const char *path = path_of(f, "a.pem");

    f->rows[f->settings.certificate_count++].certificate = path;
    must_refuse(f, path, "No such file");
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_text(path, cases[i].text);
        must_refuse(f, path, cases[i].why);
    }
    f->rows[0].certificate = f->directory;
    must_refuse(f, f->directory, "no regular file");
    f->settings.certificate_count = 0;
    f->settings.directory = "/nowhere/at/all";
    must_refuse(f, "/nowhere/at/all", "cannot be read");
}

static void a_certificate_without_a_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_sample a = tls_sample_make(&(struct tls_sample_options){.names = "DNS:a"});
    const char *path = path_of(f, "a.pem");

    tls_sample_write_certificate(path, &a);
    tls_sample_free(&a);
    f->rows[f->settings.certificate_count++].certificate = path;
    must_refuse(f, path, "no private key for it");
    f->rows[0].key = path;
    must_refuse(f, path, "holds no private key");
}

static int open_other(void *arg, const char *path)
{
    (void)path;
    return dup(*(int *)arg);
}

static void what_this_process_may_not_read_the_opener_may(void **state)
{
    struct fixture *f = *state;
    const char *path = add_sample(f, "a.pem", NULL, "DNS:a");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct weir_opener opener = {open_other, &fd};
    struct tls_store_options o = {.settings = &f->settings, .opener = &opener};
    struct tls_store *s;

    if (getuid() != 0)
        skip();
    assert_int_equal(seteuid(65534), 0);
    assert_null(load(f));
    o.now_s = time(NULL);
    s = tls_store_new(&o, &f->err);
    assert_int_equal(seteuid(0), 0);
    close(fd);
    assert_non_null(s);
    tls_store_unref(s);
}

static void certificates_may_come_from_memory(void **state)
{
    struct fixture *f = *state;
    const char *path = add_sample(f, "a.pem", NULL, "DNS:given.example");
    char text[8192];
    FILE *in = fopen(path, "r");
    size_t len = fread(text, 1, sizeof text, in);
    struct tls_given given = {"acme given.example", {text, len}, {text, len}};
    struct tls_store_options o = {.settings = &f->settings,
                                  .now_s = time(NULL),
                                  .given = &given,
                                  .given_count = 1};
    struct tls_store *s;

    fclose(in);
    f->settings.certificate_count = 0;
    s = tls_store_new(&o, &f->err);
    assert_non_null(s);
    assert_true(covers(chosen_for(s, "given.example"), "given.example"));
    tls_store_unref(s);
}

static void an_empty_store_refuses_handshakes(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s = must_load(f);
    struct seen seen = shake(s, &(struct hello){.name = "a.example"});
    struct tls_store_summary sum;

    assert_false(seen.ok);
    assert_string_equal(seen.error, "there is no certificate");
    tls_store_sum(s, time(NULL), &sum);
    assert_int_equal(sum.nearest_expiry_s, 0);
    tls_store_unref(s);
}

static void seen_by_operators(void *arg, const struct tls_certificate_view *v)
{
    unsigned *count = arg;

    assert_string_equal(v->key_type, *count == 0 ? "ECDSA P-256" : "RSA 2048");
    assert_string_equal(v->subject, *count == 0 ? "a.example" : "b.example");
    assert_int_equal(v->names_total, *count == 0 ? 2 : 1);
    assert_true(v->not_after_s > time(NULL) && v->not_before_s < time(NULL));
    assert_true(v->chain_complete && v->chain_count == 0);
    ++*count;
}

static void operators_see_them_all(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s;
    unsigned count = 0;

    add_sample(f, "a", NULL, "DNS:a.example,IP:192.0.2.7");
    add_sample(f, "b", "RSA", "DNS:b.example");
    s = must_load(f);
    tls_store_each(s, seen_by_operators, &count);
    assert_int_equal(count, 2);
    tls_store_unref(s);
}

/* ---- many, and many threads ---- */

static void objects_are_kept_for_those_in_use_alone(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s;
    struct tls_certificate *c;

    add_sample(f, "a", NULL, "DNS:a");
    add_sample(f, "b", NULL, "DNS:b");
    s = must_load(f);
    c = s->certificates[0];
    assert_non_null(c->live);
    pthread_mutex_lock(&s->lock);
    s->live_count = TLS_LIVE_MAX - 1; /* as if many others were in use */
    tls_live_get(s, s->certificates[1], &f->err);
    s->live_count = TLS_LIVE_MAX;
    {
        struct tls_certificate copy = *s->certificates[1]; /* a third one */

        copy.live = NULL;
        assert_non_null(tls_live_get(s, &copy, &f->err));
        assert_null(c->live); /* the one that was used longest ago */
        assert_non_null(s->certificates[1]->live);
        s->live_count = TLS_LIVE_MAX;
        assert_non_null(tls_live_get(s, c, &f->err)); /* back; the next one went */
        assert_null(s->certificates[1]->live);
        s->live_count = TLS_LIVE_MAX;
        assert_non_null(tls_live_get(s, s->certificates[1], &f->err));
        assert_null(copy.live);
    }
    s->live_count = 2;
    pthread_mutex_unlock(&s->lock);
    tls_store_unref(s);
}

static void *shake_often(void *arg)
{
    struct tls_store *s = arg;

    for (int i = 0; i < 30; i++)
        if (!shake(s, &(struct hello){.name = i % 2 != 0 ? "a.example" : "b.example"}).ok)
            return arg;
    return NULL;
}

static void threads_share_a_store(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    struct tls_store *s;

    add_sample(f, "a", NULL, "DNS:a.example");
    add_sample(f, "b", "RSA", "DNS:b.example");
    s = must_load(f);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, shake_often, s);
    for (int i = 0; i < 4; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    tls_store_unref(s);
}

#ifdef WEIR_FAULTS
static void without_memory_nothing_is_left_behind(void **state)
{
    struct fixture *f = *state;
    struct tls_store *s = NULL;

    add_sample(f, "a.crt", NULL, "DNS:a.example");
    f->settings.certificate_count = 0;
    f->settings.directory = f->directory;
    for (unsigned long n = 1; s == NULL; n++) {
        weir_alloc_fail_at(n);
        s = load(f);
        if (s == NULL)
            assert_int_equal(f->err.code, WEIR_E_MEMORY);
        assert_true(s == NULL || !weir_alloc_failed());
        memset(&f->err, 0, sizeof f->err);
    }
    weir_alloc_fail_at(0);
    tls_store_unref(s);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_gets_its_certificate_and_another_one_the_first),
        TEST(a_wildcard_stands_for_one_label_and_an_exact_name_wins),
        TEST(a_certificate_covers_what_it_names),
        TEST(ecdsa_goes_before_rsa_for_who_can_use_it),
        TEST(every_kind_of_key_shakes_hands),
        TEST(only_long_rsa_keys_are_slow),
        TEST(an_expired_certificate_is_shown_only_without_another),
        TEST(chains_are_sent_and_their_bytes_shared),
        TEST(a_chain_in_disorder_is_seen),
        TEST(a_directory_gives_all_its_pairs),
        TEST(a_key_of_another_certificate_is_refused),
        TEST(a_key_that_others_can_read_is_refused),
        TEST(what_is_wrong_with_a_file_is_said),
        TEST(a_certificate_without_a_key_is_refused),
        TEST(what_this_process_may_not_read_the_opener_may),
        TEST(certificates_may_come_from_memory),
        TEST(an_empty_store_refuses_handshakes),
        TEST(operators_see_them_all),
        TEST(objects_are_kept_for_those_in_use_alone),
        TEST(threads_share_a_store),
#ifdef WEIR_FAULTS
        TEST(without_memory_nothing_is_left_behind),
#endif
    };

    weir_log_set_level(WEIR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
