#include "weir/keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir/alloc.h"
#include "weir/keepfile.h"
#include "weir/mailbox.h"
#include "weir/work.h"

struct scene {
    char dir[40], file[64], beside[72];
    struct weir_work_pool *pool;
    struct weir_mailbox box;
    struct weir_keeper *keeper;
    unsigned told, failed;
};

static void on_told(void *arg, bool ok, const struct weir_err *err)
{
    struct scene *s = arg;

    s->told++;
    s->failed += !ok;
    assert_true(ok || err->code == WEIR_E_FILE);
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    struct weir_keeper_options o = {.told = on_told, .arg = s};

    strcpy(s->dir, "/tmp/weir-test-keeper-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->file, sizeof s->file, "%s/kept", s->dir);
    snprintf(s->beside, sizeof s->beside, "%s.new", s->file);
    s->pool = weir_work_pool_new(1, NULL);
    assert_true(weir_mailbox_init(&s->box, NULL));
    o.path = s->file;
    o.pool = s->pool;
    o.box = &s->box;
    s->keeper = weir_keeper_new(&o, NULL);
    assert_non_null(s->keeper);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    weir_keeper_free(s->keeper, NULL);
    weir_work_pool_free(s->pool);
    weir_mailbox_drain(&s->box);
    weir_mailbox_close(&s->box);
    remove(s->file);
    remove(s->beside);
    rmdir(s->dir);
    free(s);
    return 0;
}

static void put(struct scene *s, const char *text)
{
    weir_keeper_put(s->keeper, weir_strndup(text, strlen(text)), strlen(text));
}

static void until_told(struct scene *s)
{
    unsigned before = s->told;

    while (s->told == before) {
        usleep(200);
        weir_mailbox_drain(&s->box);
    }
}

static void check(const struct scene *s, const char *want)
{
    char *text;
    size_t len;

    assert_true(weir_keepfile_read(s->file, 100, &text, &len, NULL));
    assert_non_null(text);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(text, want, len);
    free(text);
}

static void what_is_put_is_written_and_told(void **state)
{
    struct scene *s = *state;

    put(s, "one");
    assert_int_equal(s->told, 0);
    until_told(s);
    check(s, "one");
    put(s, "two");
    until_told(s);
    check(s, "two");
}

static void of_many_the_newest_is_there_in_the_end(void **state)
{
    struct scene *s = *state;

    put(s, "one");
    put(s, "two");
    put(s, "three");
    until_told(s);
    check(s, "three");
    assert_int_equal(s->told, 1);
}

static void what_cannot_be_written_is_told_and_tried_again_when_asked(void **state)
{
    struct scene *s = *state;

    assert_int_equal(mkdir(s->beside, 0700), 0);
    put(s, "one");
    until_told(s);
    assert_int_equal(s->failed, 1);
    rmdir(s->beside);
    weir_keeper_again(s->keeper);
    until_told(s);
    assert_int_equal(s->failed, 1);
    check(s, "one");
    weir_keeper_again(s->keeper); /* nothing to do */
}

static void freed_it_has_written_the_last(void **state)
{
    struct scene *s = *state;

    put(s, "one");
    put(s, "two");
    assert_true(weir_keeper_free(s->keeper, NULL));
    s->keeper = NULL;
    check(s, "two");
    weir_mailbox_drain(&s->box);
    assert_int_equal(s->told, 0);
}

static void freed_it_says_that_it_could_not_write(void **state)
{
    struct scene *s = *state;
    struct weir_err err = {0};

    assert_int_equal(mkdir(s->beside, 0700), 0);
    put(s, "one");
    assert_false(weir_keeper_free(s->keeper, &err));
    s->keeper = NULL;
    assert_int_equal(err.code, WEIR_E_FILE);
    rmdir(s->beside);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_put_is_written_and_told),
        T(of_many_the_newest_is_there_in_the_end),
        T(what_cannot_be_written_is_told_and_tried_again_when_asked),
        T(freed_it_has_written_the_last),
        T(freed_it_says_that_it_could_not_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
