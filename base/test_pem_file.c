#include "weir/pem_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static char path[64];

static X509 *certificate(EVP_PKEY *key, const char *name)
{
    X509 *c = X509_new();
    X509_NAME *subject = X509_get_subject_name(c);

    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c, subject);
    X509_gmtime_adj(X509_getm_notBefore(c), 0);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, key);
    assert_true(X509_sign(c, key, NULL) > 0);
    return c;
}

/* Certificates with these names, in order, and the key; a path that is opened by nobody but us. */
static void write_file(const char *const *names, size_t count, bool with_key)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    FILE *f;

    snprintf(path, sizeof path, "/tmp/weir-test-pem-XXXXXX");
    f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    fputs("a word before\n", f);
    for (size_t i = 0; i < count; i++) {
        X509 *c = certificate(key, names[i]);

        PEM_write_X509(f, c);
        X509_free(c);
    }
    if (with_key)
        PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    EVP_PKEY_free(key);
}

static void certificates_come_in_their_order(void **state)
{
    static const char *const names[] = {"leaf", "between", "leaf"};
    struct weir_err err = {0};
    STACK_OF(X509) * all;
    STACK_OF(X509_NAME) * subjects;
    X509_STORE *store = X509_STORE_new();
    EVP_PKEY *key;

    (void)state;
    write_file(names, 3, true);
    all = weir_pem_certificates(NULL, path, &err);
    assert_int_equal(sk_X509_num(all), 3);
    subjects = weir_pem_subjects(all);
    assert_int_equal(sk_X509_NAME_num(subjects), 2); /* each once */
    key = weir_pem_key(NULL, path, &err);
    assert_int_equal(X509_check_private_key(sk_X509_value(all, 0), key), 1);
    assert_true(weir_pem_trust(NULL, path, store, &err));
    assert_true(weir_pem_trust(NULL, path, store, &err)); /* again: no error */
    X509_STORE_free(store);
    EVP_PKEY_free(key);
    sk_X509_NAME_pop_free(subjects, X509_NAME_free);
    sk_X509_pop_free(all, X509_free);
    unlink(path);
}

static void an_identity_is_a_certificate_and_the_key_that_fits(void **state)
{
    static const char *const names[] = {"leaf", "between"};
    struct weir_pem_identity id;
    struct weir_err err = {0};
    char other[sizeof path];

    (void)state;
    write_file(names, 2, true);
    assert_true(weir_pem_identity(NULL, path, path, &id, &err));
    assert_int_equal(X509_check_private_key(id.leaf, id.key), 1);
    assert_int_equal(sk_X509_num(id.chain), 1);
    weir_pem_identity_free(&id);
    memcpy(other, path, sizeof other);
    write_file(names, 2, true);
    assert_false(weir_pem_identity(NULL, other, path, &id, &err));
    assert_non_null(strstr(err.detail, path));
    assert_null(id.leaf);
    assert_null(id.chain);
    assert_null(id.key);
    unlink(other);
    unlink(path);
}

static void what_is_missing_is_an_error_that_names_the_file(void **state)
{
    struct weir_err err = {0};
    X509_STORE *store = X509_STORE_new();

    (void)state;
    write_file(NULL, 0, false);
    assert_null(weir_pem_certificates(NULL, path, &err));
    assert_non_null(strstr(err.detail, path));
    assert_null(weir_pem_key(NULL, path, &err));
    assert_false(weir_pem_trust(NULL, path, store, &err));
    assert_non_null(strstr(err.detail, "there is no certificate"));
    unlink(path);
    assert_null(weir_pem_certificates(NULL, path, &err));
    assert_non_null(strstr(err.detail, "No such file"));
    assert_null(weir_pem_certificates(NULL, "/tmp", &err)); /* a folder */
    X509_STORE_free(store);
}

static void a_certificate_that_is_cut_off_is_an_error(void **state)
{
    static const char *const names[] = {"whole", "cut"};
    struct weir_err err = {0};

    (void)state;
    write_file(names, 2, false);
    {
        FILE *f = fopen(path, "r+");

        assert_int_equal(fseek(f, -60, SEEK_END), 0);
        assert_int_equal(ftruncate(fileno(f), ftell(f)), 0);
        fclose(f);
    }
    assert_null(weir_pem_certificates(NULL, path, &err));
    assert_non_null(strstr(err.detail, path));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_come_in_their_order),
        cmocka_unit_test(an_identity_is_a_certificate_and_the_key_that_fits),
        cmocka_unit_test(what_is_missing_is_an_error_that_names_the_file),
        cmocka_unit_test(a_certificate_that_is_cut_off_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
