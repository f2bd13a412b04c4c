/* SPDX-License-Identifier: MIT
 *
 * cli/manifest.h - a JSON file that says what to publish to a kernel, and what to
 * invoke.  docs/kernel.md describes it.
 */
#ifndef CLI_MANIFEST_H
#define CLI_MANIFEST_H

#include "cli/cli.h"
#include "replay/kernel.h"

struct json_object;

/* What a step answered; borrowed during the call. */
struct cli_manifest_step {
    uint64_t number;  /* from 1 */
    const char *what; /* "kv:1", "resume", "drop" */
    const struct kernel_result *result;
    const struct kernel_outcome *outcome;
    const char *differs; /* how it is not as the manifest expects; NULL: it is */
};

struct cli_manifest {
    struct cli *cli; /* NULL: nothing is printed */
    const char *path;
    struct arena arena;
    struct json_object *root;
    struct replay_kernel *session;
    struct manifest_name *name; /* newest first */
    uint64_t gas;               /* where a step says none */
    void (*on_step)(void *self, const struct cli_manifest_step *step);
    /* Reads a file that the manifest names; NULL: the file system does. */
    enum err (*read)(void *self, const char *path, struct buf *file);
    void *self;
    uint64_t step_count, difference_count;
    /* CLI_YES, or the status after a message: nothing is done any more. */
    int status;
    char message[200]; /* the first */
};

/* Read the file; the status is in `status` too. */
int cli_manifest_open(struct cli *cli, const char *path, struct cli_manifest *m);

/* The same for what has been read already. */
int cli_manifest_parse(struct cli *cli, const char *path, struct bytes json,
                       struct cli_manifest *m);
void cli_manifest_close(struct cli_manifest *m);

/* Its "config" over what is there. */
int cli_manifest_setup(struct cli_manifest *m, struct replay_kernel_setup *setup);

/* Publish caps, catchers, quotas, meters, files. */
int cli_manifest_publish(struct cli_manifest *m);

/* Do its "run", or, when there is one, the list of NAME[:ENDPOINT[:ARG,...]]. */
int cli_manifest_run(struct cli_manifest *m, const struct cli_list *invoke);

/* ---- private to cli/manifest*.c ---- */

/* Say "PATH: …" once and answer false. */
bool cli_manifest_bad(struct cli_manifest *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An error of the session; answers false. */
bool cli_manifest_fail(struct cli_manifest *m, enum err err);

/* Names of caps.  A name may be given again: the newest counts. */
bool cli_manifest_name(struct cli_manifest *m, const char *name,
                       const struct hash256 *hash);

/* A name, 64 hex digits, or "kernel:" and a kernel id. */
bool cli_manifest_hash(struct cli_manifest *m, const char *text,
                       struct hash256 *ret_hash);

/* Members of an object; a missing one is NULL, or `absent`. */
struct json_object *cli_manifest_get(struct json_object *object, const char *key);
bool cli_manifest_text(struct cli_manifest *m, struct json_object *object,
                       const char *key, const char **ret_text);
bool cli_manifest_u64(struct cli_manifest *m, struct json_object *object,
                      const char *key, uint64_t absent, uint64_t max,
                      uint64_t *ret_value);
/* Walk a list; NULL for a missing one, false for another type. */
bool cli_manifest_list(struct cli_manifest *m, struct json_object *object,
                       const char *key, struct json_object **ret_list,
                       size_t *ret_count);

/* One entry of "caps". */
bool cli_manifest_cap(struct cli_manifest *m, struct json_object *cap);

#endif
