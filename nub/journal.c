/* SPDX-License-Identifier: MIT
 *
 * What a fresh worker has to be told to be where the lost one was.
 */
#include "nub/client.h"

#include <string.h>

enum { ENTRY_HEAD = HASH256_SIZE };

void nub_journal_init(struct nub_journal *journal, uint64_t size_max)
{
    *journal = (struct nub_journal){.size_max = size_max};
    buf_init(&journal->entries, size_max < SIZE_MAX ? (size_t)size_max : SIZE_MAX);
}

void nub_journal_fini(struct nub_journal *journal)
{
    buf_fini(&journal->entries);
}

/* Does the kernel remember that this was asked? */
static bool is_remembered(const struct nub_journal *journal,
                          const struct nub_header *request)
{
    switch (request->fn) {
    case NUB_FN_smoke:
    case NUB_FN_get_boot_info:
    case NUB_FN_last_outcome:
        return false;
    case NUB_FN_configure:
        return request->size != 0;
    case NUB_FN_get_cap:
    case NUB_FN_dump_state:
        return !journal->begun; /* it ends the time of CONFIGURE */
    default:
        return true;
    }
}

struct hash256 nub_journal_digest(struct bytes response)
{
    enum { ENGINE_AT = NUB_HEADER_SIZE + 52, ENGINE_SIZE = 4 };
    struct nub_header header;
    bool is_config = nub_header_decode(response.data, &header) &&
                     header.fn == NUB_FN_configure && header.size == NUB_CONFIG_SIZE;
    size_t skip = is_config ? ENGINE_AT : response.size;
    size_t behind = is_config ? ENGINE_AT + ENGINE_SIZE : response.size;
    const struct bytes pieces[] = {
        bytes_of(response.data, skip),
        bytes_of(response.data + behind, response.size - behind)};
    return hash256_of_pieces(pieces, countof(pieces));
}

void nub_journal_add(struct nub_journal *journal, struct bytes request,
                     struct bytes response)
{
    struct nub_header header;
    if (!journal->size_max || journal->overflowed ||
        !nub_header_decode(request.data, &header) || !is_remembered(journal, &header))
        return;
    journal->begun = true;
    struct hash256 digest = nub_journal_digest(response);
    buf_put(&journal->entries, digest.byte, HASH256_SIZE);
    buf_put(&journal->entries, request.data, request.size);
    if (journal->entries.err) {
        journal->overflowed = true;
        buf_fini(&journal->entries);
    }
}

bool nub_journal_next(const struct nub_journal *journal, size_t *at,
                      struct nub_journal_entry *ret_entry)
{
    struct nub_header header;
    if (*at == journal->entries.size)
        return false;
    const uint8_t *entry = journal->entries.data + *at;
    memcpy(ret_entry->response.byte, entry, HASH256_SIZE);
    check(nub_header_decode(entry + ENTRY_HEAD, &header));
    ret_entry->request =
        bytes_of(entry + ENTRY_HEAD, NUB_HEADER_SIZE + (size_t)header.size);
    *at += ENTRY_HEAD + ret_entry->request.size;
    return true;
}
