/*
 * embedded_hints.h - hints within one process: from any thread to every port that listens.
 *
 * A channel knows which ports listen to it (a *tap* each). Whoever says something, under the lock
 * of all channels, posts a mail to each of these ports; the port's thread tells its listeners, from
 * the loop. What waits for a port is bounded: beyond that, or without memory, its listeners are
 * told of a gap instead.
 *
 *     weir_shared 1 --- * channel 1 --- * tap * --- 1 port 1 --- * ear --- 1 shared_listener
 */
#ifndef EMBEDDED_HINTS_H
#define EMBEDDED_HINTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "weir/mailbox.h"
#include "weir/shared.h"

#define EMBEDDED_CHANNEL_BUCKETS 256
#define EMBEDDED_WAITING_MAX     1024 /* hints on their way to one port */

struct embedded_channel;
struct embedded_ear;
struct embedded_tap;
struct heard;

struct embedded_channels {
    pthread_mutex_t lock; /* guards this struct and all taps' links and `missed` */
    struct embedded_channel *buckets[EMBEDDED_CHANNEL_BUCKETS];
};

/* What a port hears with; its thread's, but for the box and what says otherwise. */
struct embedded_ears {
    struct shared_port *port;
    struct embedded_channels *channels;
    struct weir_mailbox box;
    struct event *box_event;
    struct weir_mail gap_mail;
    bool gap_posted;     /* under the channels' lock */
    atomic_uint waiting; /* hints in the box and in `heard` */
    bool look_for_gaps;  /* gap_mail has arrived */
    struct heard *heard, **last_heard;
    struct embedded_tap *taps;
    struct embedded_ear *ears;
    struct embedded_ear *cursor; /* the next one to be told of what is being told */
};

void embedded_channels_init(struct embedded_channels *channels);
/* No port is left. */
void embedded_channels_close(struct embedded_channels *channels);

/* Any thread, under no lock. */
void embedded_say(struct embedded_channels *channels, enum shared_area area,
                  struct weir_span channel, struct weir_span bytes);

bool embedded_ears_init(struct embedded_ears *e, struct shared_port *port,
                        struct embedded_channels *channels, struct weir_err *err);
/* Forgets all listeners. May run inside a listener's function. */
void embedded_ears_close(struct embedded_ears *e);
bool embedded_listen(struct embedded_ears *e, struct shared_listener *l, enum shared_area area,
                     struct weir_span channel, struct weir_err *err);
void embedded_unlisten(struct embedded_ears *e, struct shared_listener *l);

#endif
