/* Needs root for what the warden is for; without, only what it refuses is tested. */
#include "warden.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir/log.h"
#include "warden_own.h"

struct fixture {
    char folder[64];
    char key[96], other[96];
};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    fputs(text, f);
    fclose(f);
    chmod(path, 0600);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    strcpy(f->folder, "/tmp/weir-warden-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->key, sizeof f->key, "%s/key", f->folder);
    snprintf(f->other, sizeof f->other, "%s/other", f->folder);
    write_file(f->key, "secret");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    unlink(f->key);
    unlink(f->other);
    rmdir(f->folder);
    free(f);
    return 0;
}

static struct warden *start(const char *path)
{
    struct weir_err err = {0};
    const struct warden_duties duties = {.paths = &path, .path_count = 1};
    struct warden *k = warden_start(&duties, &err);

    assert_non_null(k);
    return k;
}

static void must_read(struct warden *k, const char *path, const char *text)
{
    char got[16] = "";
    int fd = warden_open(k, path);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, sizeof got - 1), strlen(text));
    assert_string_equal(got, text);
    close(fd);
}

static void must_refuse(struct warden *k, const char *path, int error)
{
    assert_int_equal(warden_open(k, path), -1);
    assert_int_equal(errno, error);
}

static void it_opens_what_was_named_and_what_takes_its_place(void **state)
{
    struct fixture *f = *state;
    struct warden *k;

    if (getuid() != 0)
        skip();
    k = start(f->key);
    must_read(k, f->key, "secret");
    write_file(f->other, "newer");
    assert_int_equal(rename(f->other, f->key), 0);
    must_read(k, f->key, "newer");
    must_refuse(k, f->other, ENOENT); /* did not get there */
    warden_stop(k);
}

static void it_opens_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct warden *k = start(f->key);
    char path[256];

    must_refuse(k, "/etc/shadow", EACCES);
    must_refuse(k, "etc/shadow", EACCES);
    must_refuse(k, "", EACCES);
    snprintf(path, sizeof path, "%s/../../etc/shadow", f->folder);
    must_refuse(k, path, EACCES);
    snprintf(path, sizeof path, "%sx/key", f->folder);
    must_refuse(k, path, EACCES);
    snprintf(path, sizeof path, "%s//key", f->folder);
    must_refuse(k, path, EACCES);
    assert_int_equal(warden_open(NULL, f->key), -1);
    warden_stop(k);
}

static void a_folder_that_others_can_change_is_not_kept(void **state)
{
    struct fixture *f = *state;
    struct warden *k;

    if (getuid() != 0)
        skip();
    assert_int_equal(chmod(f->folder, 0777), 0);
    k = start(f->key);
    must_refuse(k, f->key, EACCES);
    warden_stop(k);
    assert_int_equal(chmod(f->folder, 0755), 0);
    k = start(f->key);
    must_read(k, f->key, "secret");
    assert_int_equal(chown(f->folder, 65534, 65534), 0); /* and later neither */
    must_refuse(k, f->key, EACCES);
    warden_stop(k);
    assert_int_equal(chown(f->folder, 0, 0), 0);
}

static void links_to_what_others_can_change_are_refused(void **state)
{
    struct fixture *f = *state;
    struct warden *k;
    char target[] = "/tmp/weir-target-XXXXXX";
    int fd = mkstemp(target);

    if (getuid() != 0)
        skip();
    assert_int_equal(fchown(fd, 65534, 65534), 0);
    assert_int_equal(symlink(target, f->other), 0);
    k = start(f->key);
    must_refuse(k, f->other, EACCES);
    warden_stop(k);
    close(fd);
    unlink(target);
}

static void so_are_links_in_what_others_can_change(void **state)
{
    struct fixture *f = *state;
    char folder[] = "/tmp/weir-theirs-XXXXXX", link[64], path[96];
    struct warden *k;

    if (getuid() != 0)
        skip();
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/certs", folder);
    snprintf(path, sizeof path, "%s/key", link);
    assert_int_equal(symlink(f->folder, link), 0);
    k = start(path);
    must_read(k, path, "secret"); /* the folder is root's, and so is the link */
    assert_int_equal(chown(folder, 65534, 65534), 0);
    must_refuse(k, path, EACCES); /* now others can let it lead anywhere */
    warden_stop(k);
    unlink(link);
    rmdir(folder);
}

static void links_in_circles_are_refused(void **state)
{
    struct fixture *f = *state;
    struct warden *k = start(f->key);

    if (getuid() != 0)
        skip();
    assert_int_equal(symlink("other", f->other), 0);
    must_refuse(k, f->other, ELOOP);
    assert_int_equal(unlink(f->other), 0);
    assert_int_equal(symlink("../../../etc/hostname/..", f->other), 0);
    must_refuse(k, f->other, ENOTDIR);
    warden_stop(k);
}

static void it_binds_streams_alone(void **state)
{
    struct fixture *f = *state;
    struct warden *k = start(f->key);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof a;

    assert_int_equal(warden_bind(k, tcp, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(tcp, (struct sockaddr *)&a, &len), 0);
    assert_true(a.sin_port != 0);
    assert_int_equal(warden_bind(k, udp, (struct sockaddr *)&a, sizeof a), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(warden_bind(k, tcp, (struct sockaddr *)&a, sizeof a), -1); /* once is enough */
    close(tcp);
    close(udp);
    warden_stop(k);
}

/* A Unix socket of uid, as a descriptor of its file. */
static int make_socket(const struct fixture *f, uid_t uid)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), file;

    snprintf(a.sun_path, sizeof a.sun_path, "%s", f->other);
    unlink(f->other);
    assert_int_equal(bind(sock, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(chown(f->other, uid, uid), 0);
    file = open(f->other, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    assert_true(file >= 0);
    close(sock);
    return file;
}

static void it_gives_the_nodes_sockets_to_whom_it_was_told(void **state)
{
    const struct warden_owner friend = {(uid_t)-1, 4321};
    const struct warden_duties duties = {.owners = &friend, .owner_count = 1, .node = 1234};
    struct fixture *f = *state;
    struct weir_err err = {0};
    struct warden *k;
    struct stat st;
    int file;

    if (getuid() != 0)
        skip();
    k = warden_start(&duties, &err);
    file = make_socket(f, 1234);
    assert_int_equal(warden_own(k, file, (uid_t)-1, 4322), -1); /* to nobody else */
    assert_int_equal(errno, EPERM);
    assert_int_equal(warden_own(k, file, 0, 4321), -1);
    assert_int_equal(warden_own(k, file, (uid_t)-1, 4321), 0);
    assert_int_equal(stat(f->other, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 4321);
    close(file);
    file = make_socket(f, 1235); /* somebody else's */
    assert_int_equal(warden_own(k, file, (uid_t)-1, 4321), -1);
    close(file);
    assert_int_equal(chown(f->key, 1234, 1234), 0);
    file = open(f->key, O_RDONLY | O_CLOEXEC); /* no socket */
    assert_int_equal(warden_own(k, file, (uid_t)-1, 4321), -1);
    close(file);
    assert_int_equal(warden_own(k, -1, (uid_t)-1, 4321), -1);
    assert_int_equal(warden_own(NULL, 0, (uid_t)-1, 4321), -1);
    warden_stop(k);
}

static void it_ends_with_the_node(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    pid_t node;
    char c;

    assert_int_equal(pipe(ends), 0);
    node = fork();
    if (node == 0) {
        struct warden *k = start(f->key);
        pid_t pid = warden_pid(k);

        assert_int_equal(write(ends[1], &pid, sizeof pid), sizeof pid);
        _exit(0); /* without a word */
    }
    close(ends[1]);
    {
        pid_t warden = 0;

        assert_int_equal(read(ends[0], &warden, sizeof warden), sizeof warden);
        assert_int_equal(waitpid(node, NULL, 0), node);
        for (int i = 0; i < 500 && kill(warden, 0) == 0; i++) {
            char path[64], state_of = '?';
            FILE *stat;

            snprintf(path, sizeof path, "/proc/%d/stat", (int)warden);
            stat = fopen(path, "r");
            if (stat == NULL || fscanf(stat, "%*d (%*[^)]) %c", &state_of) != 1 || state_of == 'Z')
                i = 1000; /* gone, or nobody has looked yet */
            else
                usleep(10000);
            if (stat != NULL)
                fclose(stat);
            assert_true(i != 499);
        }
    }
    assert_int_equal(read(ends[0], &c, 1), 0); /* it holds no descriptor of the node's */
    close(ends[0]);
}

static void who_is_nobody_is_an_error(void **state)
{
    struct warden_identity id;
    struct weir_err err = {0};

    (void)state;
    assert_false(warden_find_identity("no-such-user", "", &id, &err));
    assert_non_null(strstr(err.detail, "no-such-user"));
    assert_false(warden_find_identity("root", "no-such-group", &id, &err));
    assert_true(warden_find_identity("0", "0", &id, &err));
    assert_string_equal(id.name, "root");
}

static void what_is_dropped_is_gone(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct warden_identity id;
        struct weir_err err = {0};

        if (getuid() != 0)
            _exit(0);
        if (!warden_find_identity("nobody", "", &id, &err) || !warden_drop(&id, &err))
            _exit(1);
        _exit(setuid(0) == 0 || setgid(0) == 0 || access("/etc/shadow", R_OK) == 0 ? 2 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_opens_what_was_named_and_what_takes_its_place),
        TEST(it_opens_nothing_else),
        TEST(a_folder_that_others_can_change_is_not_kept),
        TEST(links_to_what_others_can_change_are_refused),
        TEST(so_are_links_in_what_others_can_change),
        TEST(links_in_circles_are_refused),
        TEST(it_binds_streams_alone),
        TEST(it_gives_the_nodes_sockets_to_whom_it_was_told),
        TEST(it_ends_with_the_node),
        TEST(who_is_nobody_is_an_error),
        TEST(what_is_dropped_is_gone),
    };

    weir_log_set_level(WEIR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
