/*
 * logfile.h - opening the files that logs are appended to.
 */
#ifndef LOGFILE_H
#define LOGFILE_H

#include "weir/err.h"

/* For appending, created with mode 0640, non-blocking where that means something: a FIFO that
 * nobody reads is an error. Returns a descriptor the caller owns, or -1. */
int logfile_open(const char *path, struct weir_err *err);

#endif
