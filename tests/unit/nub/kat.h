/* SPDX-License-Identifier: MIT
 *
 * tests/unit/nub/kat.h - the known answers of the kernel's specification, as packets.
 */
#ifndef TESTS_UNIT_NUB_KAT_H
#define TESTS_UNIT_NUB_KAT_H

#include "nub/packet.h"

#include <json-c/json.h>

/* Group setup and teardown. */
int kat_open(void **unused);
int kat_close(void **unused);

/* All vectors, or the one with this name. */
struct json_object *kat_vectors(void);
struct json_object *kat_vector(const char *name);

/* A member; NULL, or 0, where there is none. */
struct json_object *kat_get(struct json_object *object, const char *key);
const char *kat_text(struct json_object *object, const char *key);
uint64_t kat_number(struct json_object *object, const char *key);

/* Hex; fails the test unless it has the right size. */
size_t kat_unhex(const char *hex, uint8_t *ret_bytes, size_t size_max);
struct hash256 kat_hash(const char *hex);

/* "encoding", or "encoding_prefix" and zeros up to "encoding_len".  Static storage. */
struct bytes kat_wire(struct json_object *object);

/* The request of a scenario's step.  The payload is in static storage. */
enum nub_fn kat_request(struct json_object *step, struct bytes *ret_payload);

/* Is this what the step must answer? */
void kat_expect(struct json_object *step, uint32_t status, struct bytes payload);

/* CONFIGURE's payload with these flags.  Static storage. */
struct bytes kat_configure(uint32_t flags, enum kernel_engine engine);

#endif
