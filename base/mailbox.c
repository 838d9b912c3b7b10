#include "weir/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool weir_mailbox_init(struct weir_mailbox *m, struct weir_err *err)
{
    atomic_init(&m->head, NULL);
    m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->fd < 0)
        return weir_fail(err,
                         errno == EMFILE || errno == ENFILE ? WEIR_E_DESCRIPTORS : WEIR_E_INTERNAL,
                         "mailbox: eventfd", errno);
    return true;
}

void weir_mailbox_close(struct weir_mailbox *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}

static void ring_bell(int fd)
{
    const uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));

    /* EAGAIN means the counter is at its limit: then fd is readable, and that is all we want. */
    assert(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

void weir_mailbox_post(struct weir_mailbox *m, struct weir_mail *mail)
{
    bool was_posted = atomic_exchange_explicit(&mail->posted, true, memory_order_relaxed);
    struct weir_mail *head = atomic_load_explicit(&m->head, memory_order_relaxed);

    assert(!was_posted);
    /* A stack that is only pushed to and taken whole: the ABA problem cannot arise. */
    do
        mail->next = head;
    while (!atomic_compare_exchange_weak_explicit(&m->head, &head, mail, memory_order_release,
                                                  memory_order_relaxed));
    /* From here on mail may be gone. */
    if (head == NULL)
        ring_bell(m->fd);
}

static struct weir_mail *reverse(struct weir_mail *newest)
{
    struct weir_mail *oldest = NULL;

    while (newest != NULL) {
        struct weir_mail *older = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

void weir_mailbox_drain(struct weir_mailbox *m)
{
    struct weir_mail *mail;
    uint64_t rings;
    ssize_t n;

    /* The bell before the box: the other way round, a mail that comes between the two would lose
     * its bell. This way the worst is a bell without a mail. */
    n = read(m->fd, &rings, sizeof(rings));
    assert(n == (ssize_t)sizeof(rings) || errno == EAGAIN);
    mail = reverse(atomic_exchange_explicit(&m->head, NULL, memory_order_acquire));
    while (mail != NULL) {
        struct weir_mail *next = mail->next;

        atomic_store_explicit(&mail->posted, false, memory_order_relaxed);
        mail->run(mail); /* may free it or post it again */
        mail = next;
    }
}
