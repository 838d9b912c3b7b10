/*
 * admin_audit.h - the record of who changed what, or tried to: a line in the error log, whatever
 * its level is, and one of JSON in a file of its own if there is one.
 *
 *     audit: who=alice from=unix:4711 did=purge target="tag [\"a\"]" outcome="sequence 12"
 */
#ifndef ADMIN_AUDIT_H
#define ADMIN_AUDIT_H

#include "weir/log.h"
#include "admin_door.h"

#define ADMIN_WHO_MAX 72

/* Who asks: the name of the token; the name of the user at the other end of a Unix socket, as
 * /etc/passwd has it (no other source of names is asked, for it could keep us waiting), else
 * "uid:1000"; "-": nobody knows. */
void admin_audit_who(const struct admin_call *c, char out[ADMIN_WHO_MAX]);

/* All texts may hold any bytes. sink NULL: the error log alone. */
void admin_audit_write(struct weir_sink *sink, const struct admin_call *c, const char *did,
                       const char *target, const char *outcome);

#endif
