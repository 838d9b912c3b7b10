/*
 * memory_watch.h - how full the memory budget is, so that a node sheds load before the kernel kills
 * it.
 *
 * Reads files below /proc and /sys: for the control thread, now and then.
 */
#ifndef MEMORY_WATCH_H
#define MEMORY_WATCH_H

#include <stdint.h>

#include "exchange.h"

/* What is in use of `budget` (bytes; 0: the smaller of the machine's memory and the limits of the
 * process's control groups). Steps back down only 2 % below where it stepped up. When nothing can
 * be read: as before. */
enum exchange_pressure memory_watch(uint64_t budget, enum exchange_pressure before);

/* Memory of this process that is in RAM, in bytes; 0: not known. */
uint64_t memory_watch_resident(void);

/* The rule alone: used and budget in bytes. */
enum exchange_pressure memory_pressure(uint64_t used, uint64_t budget,
                                       enum exchange_pressure before);

#endif
