/*
 * admin_control.h - who waits for a reload that the admin API has asked for.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "reload_report.h"

struct admin_source;
struct waiting;

struct admin_control {
    struct reload_watcher watcher;
    struct waiting *waiting;
};

void admin_control_init(struct admin_control *c, const struct admin_source *source);

#endif
