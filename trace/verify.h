/* SPDX-License-Identifier: MIT
 *
 * trace/verify.h - what the two passes of `verify` share.  Internal to trace/.
 */
#ifndef TRACE_VERIFY_H
#define TRACE_VERIFY_H

#include "trace/internal.h"

struct verify {
    const struct trace_verify_options *options;
    trace_defect_fn *defect;
    void *self;
    struct trace_summary *summary;
};

/* Report one defect; `text` is a line. */
void trace_verify_defect(struct verify *verify, enum err err, uint64_t chunk_offset,
                         uint64_t payload_offset, const char *text);

/* Second pass: what the events mean, up to the first damage. */
ERR_MUST_CHECK enum err trace_verify_events(struct arena *arena,
                                            const struct trace_source *source,
                                            struct verify *verify);

#endif
