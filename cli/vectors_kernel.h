/* SPDX-License-Identifier: MIT
 *
 * cli/vectors_kernel.h - private to cli/vectors*.c: known answers of the capability
 * kernel ("format": "lockstep-pvm-kernel-kat").
 */
#ifndef CLI_VECTORS_KERNEL_H
#define CLI_VECTORS_KERNEL_H

#include "cli/vectors.h"
#include "kernel/cap.h"

/* 32 bytes as hex. */
bool cli_vectors_hash(struct cli_vectors *v, struct json_object *object,
                      const char *key, struct hash256 *ret_hash);

/* The same where null is another word for "none". */
bool cli_vectors_hash_or_null(struct cli_vectors *v, struct json_object *object,
                              const char *key, bool *ret_present,
                              struct hash256 *ret_hash);

/* Compare a hash with what is expected. */
void cli_vectors_compare_hash(struct cli_vectors *v, const char *field,
                              const struct hash256 *expected,
                              const struct hash256 *actual);

/* "encoding", or "encoding_prefix" and zeros up to "encoding_len". */
bool cli_vectors_wire(struct cli_vectors *v, struct json_object *object,
                      struct bytes *ret_wire);

/* The encoding of the cap that `inputs` describe, appended. */
bool cli_vectors_cap(struct cli_vectors *v, struct json_object *inputs,
                     enum kernel_kind kind, struct buf *wire);

/* A fresh kernel with the directory of a vector; `flags` of its configuration. */
struct cli_vectors_kernel {
    struct arena arena;
    struct kernel *kernel;
    void *memory;
    size_t memory_size;
    struct pvm_sandbox *sandbox;
};
enum cli_vectors_engine {
    CLI_VECTORS_INTERP,
    CLI_VECTORS_RECOMP,
    CLI_VECTORS_SANDBOX,
};
bool cli_vectors_kernel_open(struct cli_vectors *v, uint32_t flags,
                             enum cli_vectors_engine engine,
                             struct cli_vectors_kernel *ret_kernel);
void cli_vectors_kernel_close(struct cli_vectors_kernel *kernel);

/* A case of the kinds that are run; packets and frames are not, and *ret_skip says so.
 */
bool cli_vectors_run_kernel(struct cli_vectors *v, struct json_object *object);
bool cli_vectors_kernel_skips(struct cli_vectors *v, struct json_object *object);
bool cli_vectors_run_scenario(struct cli_vectors *v, struct json_object *inputs);

#endif
