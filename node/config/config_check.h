/*
 * config_check.h - the tree of a configuration against the schema: every error, not the first.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

struct config_ctx;

/*
 * Reports what is wrong with ctx->root and marks it bad; sets the number of each value that is one;
 * adds what rules derive. Whether anything was found is for ctx->errors to say.
 */
void config_check(struct config_ctx *ctx);

#endif
