#include "test_store.h"

#include <ctype.h>
#include <time.h>

static struct store_names *names_of(const char *secret, const char *farm)
{
    struct store_names *n = store_names_new(weir_span_str(secret), weir_span_str(farm), NULL);

    assert_non_null(n);
    return n;
}

static struct store_name name_of(struct store_names *n, const char *key)
{
    struct store_name name;

    assert_true(store_name_of(n, weir_span_str(key), &name));
    return name;
}

/* RFC 5869 gives its examples with a salt; this one is of its A.3: none, and no info. */
static void secrets_are_derived_as_rfc_5869_says(void **state)
{
    static const unsigned char expected[] = {0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71,
                                             0x5f, 0x80, 0x2a, 0x06, 0x3c, 0x5a, 0x31, 0xb8, 0xa1,
                                             0x1f, 0x5c, 0x5e, 0xe1, 0x87, 0x9e, 0xc3, 0x45, 0x4e,
                                             0x5f, 0x3c, 0x73, 0x8d, 0x2d, 0x9d, 0x20, 0x13, 0x95,
                                             0xfa, 0xa4, 0xb6, 0x1a, 0x96, 0xc8};
    unsigned char secret[22], out[42];

    (void)state;
    memset(secret, 0x0b, sizeof(secret));
    assert_true(store_derive(weir_span((const char *)secret, sizeof(secret)), WEIR_SPAN_NONE, out,
                             sizeof(out), NULL));
    assert_memory_equal(out, expected, sizeof(out));
}

static void each_label_gives_another_secret(void **state)
{
    unsigned char a[32], b[32], again[32];
    struct weir_err err = {0};

    (void)state;
    assert_true(store_derive(WEIR_SPAN_LIT("s"), WEIR_SPAN_LIT("purge"), a, 32, NULL));
    assert_true(store_derive(WEIR_SPAN_LIT("s"), WEIR_SPAN_LIT("names"), b, 32, NULL));
    assert_true(store_derive(WEIR_SPAN_LIT("s"), WEIR_SPAN_LIT("purge"), again, 32, NULL));
    assert_memory_not_equal(a, b, 32);
    assert_memory_equal(a, again, 32);
    assert_false(store_derive(WEIR_SPAN_NONE, WEIR_SPAN_LIT("purge"), a, 32, &err));
    assert_int_equal(err.code, WEIR_E_INTERNAL);
}

static void a_name_depends_on_key_secret_and_farm(void **state)
{
    struct store_names *n[] = {names_of("secret", "farm"), names_of("secret", "farm"),
                               names_of("secret", "other"), names_of("other", "farm")};
    struct store_name a = name_of(n[0], "http://a/"), b;

    (void)state;
    b = name_of(n[1], "http://a/");
    assert_memory_equal(&a, &b, sizeof(a)); /* all nodes of a farm agree */
    b = name_of(n[0], "http://b/");
    assert_memory_not_equal(a.base, b.base, STORE_HASH_TEXT);
    assert_true(a.check != b.check);
    b = name_of(n[2], "http://a/");
    assert_memory_not_equal(a.base, b.base, STORE_HASH_TEXT);
    b = name_of(n[3], "http://a/");
    assert_memory_not_equal(a.base, b.base, STORE_HASH_TEXT);
    b = name_of(n[0], "http://a/"); /* and what was hashed in between does not matter */
    assert_memory_equal(&a, &b, sizeof(a));
    for (int i = 0; i < 4; i++)
        store_names_free(n[i]);
}

/* Nodes of two versions must find the same names. */
static void names_stay_what_they_are(void **state)
{
    struct store_names *n = names_of("secret", "farm");
    struct store_name a = name_of(n, "http://a/"), v;
    char buf[STORE_KEY_MAX];

    (void)state;
    assert_true(store_name_variant(n, &a, WEIR_SPAN_LIT("en"), &v));
    assert_true(weir_span_eq(store_key(&a, STORE_KEY_META, buf),
                             WEIR_SPAN_LIT("w1:{OvinEgqhGTAmQeH1iDLomQ}:m")));
    assert_true(weir_span_eq(store_key(&v, STORE_KEY_META, buf),
                             WEIR_SPAN_LIT("w1:{OvinEgqhGTAmQeH1iDLomQ}:vDi_efQpvsxEZegGHY1a-sw")));
    store_names_free(n);
}

static void a_variant_is_neither_its_base_nor_another(void **state)
{
    struct store_names *n = names_of("secret", "farm");
    struct store_name a = name_of(n, "http://a/"), b = name_of(n, "http://b/"), en, de, b_en;
    struct store_name forged;
    char text[64];

    (void)state;
    assert_true(store_name_variant(n, &a, WEIR_SPAN_LIT("en"), &en));
    assert_true(store_name_variant(n, &a, WEIR_SPAN_LIT("de"), &de));
    assert_true(store_name_variant(n, &b, WEIR_SPAN_LIT("en"), &b_en));
    assert_memory_equal(en.base, a.base, STORE_HASH_TEXT);
    assert_memory_not_equal(en.variant, de.variant, STORE_HASH_TEXT);
    assert_memory_not_equal(en.variant, b_en.variant, STORE_HASH_TEXT);
    assert_true(en.check != a.check && en.check != de.check);
    assert_true(en.base_check == a.check);
    /* A key that spells what a variant is hashed from gets another hash. */
    snprintf(text, sizeof(text), "%.*sen", STORE_HASH_TEXT, a.base);
    forged = name_of(n, text);
    assert_memory_not_equal(forged.base, en.variant, STORE_HASH_TEXT);
    store_names_free(n);
}

static void keys_share_what_must_lie_together(void **state)
{
    struct store_names *n = names_of("secret", "farm");
    struct store_name a = name_of(n, "http://a/"), en;
    const enum store_key kinds[] = {STORE_KEY_META, STORE_KEY_LEASE, STORE_KEY_FENCE,
                                    STORE_KEY_OPEN};
    char first[STORE_KEY_MAX], other[STORE_KEY_MAX];
    struct weir_span meta = store_key(&a, STORE_KEY_META, first), key;

    (void)state;
    assert_true(store_name_variant(n, &a, WEIR_SPAN_LIT("en"), &en));
    for (int i = 0; i < 4; i++) {
        key = store_key(&a, kinds[i], other);
        assert_true(weir_span_eq(shared_tag(meta), shared_tag(key)));
        assert_int_equal(key.ptr[key.len - 1], kinds[i]);
        key = store_key(&en, kinds[i], other);
        assert_true(weir_span_eq(shared_tag(meta), shared_tag(key)));
    }
    key = store_key(&en, STORE_KEY_OPEN, other); /* one for all variants */
    assert_int_equal(key.ptr[key.len - 1], 'o');
    key = store_chunk_key(&a, UINT64_MAX, UINT32_MAX, other); /* the longest there is */
    assert_true(key.len < STORE_KEY_MAX);
    assert_false(weir_span_eq(shared_tag(meta), shared_tag(key)));
    for (size_t i = 0; i < key.len; i++)
        assert_true(isgraph((unsigned char)key.ptr[i]));
    store_names_free(n);
}

static void no_key_says_what_it_is_of(void **state)
{
    struct store_names *n = names_of("secret", "farm");
    struct store_name a = name_of(n, "http://example/secret-path");
    char buf[STORE_KEY_MAX];
    struct weir_span key = store_key(&a, STORE_KEY_META, buf);

    (void)state;
    assert_null(memmem(key.ptr, key.len, "secret", 6));
    assert_null(memmem(key.ptr, key.len, "example", 7));
    store_names_free(n);
}

#ifdef WEIR_FAULTS
static void without_memory_there_are_no_names(void **state)
{
    struct weir_err err = {0};

    (void)state;
    weir_alloc_fail_at(1);
    assert_null(store_names_new(WEIR_SPAN_LIT("s"), WEIR_SPAN_LIT("f"), &err));
    weir_alloc_fail_at(0);
    assert_int_equal(err.code, WEIR_E_MEMORY);
}
#endif

static void what_cannot_be_a_secret_is_refused(void **state)
{
    static char farm[600];
    struct weir_err err = {0};

    (void)state;
    assert_null(store_names_new(WEIR_SPAN_NONE, WEIR_SPAN_LIT("f"), &err));
    assert_int_equal(err.code, WEIR_E_INTERNAL);
    assert_null(store_names_new(WEIR_SPAN_LIT("s"), weir_span(farm, sizeof(farm)), &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_derived_as_rfc_5869_says),
        cmocka_unit_test(each_label_gives_another_secret),
        cmocka_unit_test(a_name_depends_on_key_secret_and_farm),
        cmocka_unit_test(names_stay_what_they_are),
        cmocka_unit_test(a_variant_is_neither_its_base_nor_another),
        cmocka_unit_test(keys_share_what_must_lie_together),
        cmocka_unit_test(no_key_says_what_it_is_of),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_are_no_names),
#endif
        cmocka_unit_test(what_cannot_be_a_secret_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
