/*
 * farm_json.h - members of a JSON object that may be missing, or of another type: nothing there,
 * nor an object that is NULL, reads as "", 0 or false.
 */
#ifndef FARM_JSON_H
#define FARM_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const char *farm_text(const json_t *object, const char *name); /* borrowed from it */
int64_t farm_int(const json_t *object, const char *name);
double farm_real(const json_t *object, const char *name); /* of integers too */
bool farm_true(const json_t *object, const char *name);
bool farm_false(const json_t *object, const char *name); /* it is there, and false */

#endif
