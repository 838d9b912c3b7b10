#include "acme_challenge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define V(s)   WEIR_SPAN_LIT(s)
#define TOKEN  "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
#define ANSWER TOKEN ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"

static struct acme_place place_of(const char *secret)
{
    struct acme_place p;
    struct weir_seal_key key;

    assert_true(weir_seal_key_derive(&key, weir_span_str(secret), V("farm"), NULL));
    assert_true(acme_place_init(&p, &key, "farm"));
    return p;
}

static void only_tokens_below_the_one_path_are_asked_for(void **state)
{
    (void)state;
    assert_true(
        weir_span_eq(acme_challenge_token(V("/.well-known/acme-challenge/" TOKEN)), V(TOKEN)));
    assert_null(acme_challenge_token(V("/.well-known/acme-challenge/")).ptr);
    assert_null(acme_challenge_token(V("/.well-known/acme-challenge")).ptr);
    assert_null(acme_challenge_token(V("/.well-known/acme-challenge/short")).ptr);
    assert_null(acme_challenge_token(V("/.well-known/acme-challenge/" TOKEN "/")).ptr);
    assert_null(acme_challenge_token(V("/.well-known/acme-challenge/../../etc/passwd")).ptr);
    assert_null(acme_challenge_token(V("/.well-known/acme-challenge/" TOKEN "%2e")).ptr);
    assert_null(acme_challenge_token(V("/.well-known/acme-challengE/" TOKEN)).ptr);
    assert_null(acme_challenge_token(V("/x/.well-known/acme-challenge/" TOKEN)).ptr);
}

static void an_answer_belongs_to_its_token(void **state)
{
    (void)state;
    assert_true(acme_answer_valid(V(TOKEN), V(ANSWER)));
    assert_false(acme_answer_valid(V(TOKEN), V(TOKEN)));
    assert_false(acme_answer_valid(V(TOKEN), V(TOKEN ".")));
    assert_false(acme_answer_valid(V(TOKEN), V(TOKEN ".<script>")));
    assert_false(acme_answer_valid(V(TOKEN), V("A" ANSWER)));
}

static void what_was_sealed_opens_for_its_token_alone(void **state)
{
    struct acme_place p = place_of("secret"), other = place_of("other");
    char out[WEIR_SEAL_BYTES + ACME_ANSWER_MAX], key[ACME_KEY_MAX];
    struct weir_span sealed = weir_span(out, WEIR_SEAL_BYTES + sizeof ANSWER - 1), answer;

    (void)state;
    assert_true(weir_span_eq(acme_challenge_key(&p, V(TOKEN), key), V("w1:a:farm:" TOKEN)));
    assert_true(acme_challenge_seal(&p, V(TOKEN), V(ANSWER), out));
    assert_true(acme_challenge_open(&p, V(TOKEN), sealed, &answer));
    assert_true(weir_span_eq(answer, V(ANSWER)));
    assert_false(acme_challenge_open(&other, V(TOKEN), sealed, &answer));
    assert_false(
        acme_challenge_open(&p, V("BoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"), sealed, &answer));
    assert_false(acme_challenge_open(&p, V(TOKEN), V("short"), &answer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_tokens_below_the_one_path_are_asked_for),
        cmocka_unit_test(an_answer_belongs_to_its_token),
        cmocka_unit_test(what_was_sealed_opens_for_its_token_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
