/*
 * tls_files.h - certificates and keys as files: opened by whoever may, read whole, judged.
 *
 * Who may read a private key: its owner; and its group, if the owner is root, for so distributions
 * give keys to services (0640 root:ssl-cert). A file that others can read, or that a group can
 * write, is refused: the key is no secret any more, or not the operator's.
 */
#ifndef TLS_FILES_H
#define TLS_FILES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "weir/err.h"
#include "weir/opener.h"
#include "weir/span.h"

#define TLS_FILE_MAX ((size_t)1024 * 1024)

struct tls_secrets;

/* Reads a file into scratch memory of `s`, good until the next use of it; as much room again lies
 * behind it. false: *err says which file and why. */
bool tls_file_read(struct tls_secrets *s, const struct weir_opener *opener, const char *path,
                   struct weir_span *out, struct stat *st, struct weir_err *err);
/* Room to decode what was read, behind it. */
unsigned char *tls_file_room(struct weir_span read);
/* May a private key lie in such a file? */
bool tls_file_is_private(const char *path, const struct stat *st, struct weir_err *err);

#endif
