/* SPDX-License-Identifier: MIT
 *
 * The disassembly as a source text: where there is no other, clients show this one and
 * set breakpoints in it (trace-replay.md 9.6).
 */
#include "cli/dap.h"

#include <inttypes.h>
#include <string.h>

/* Where PVM programs show their code (trace-replay.md 9.1). */
#define PVM_CODE_BASE (UINT64_C(1) << 32)

enum { TEXT_SIZE_MAX = 1 << 28, LINES_SIZE_MAX = 1 << 28 };

static struct dap_line *lines_of(const struct dap_listing *listing)
{
    return (struct dap_line *)(void *)listing->lines.data;
}

enum err dap_listing_make(const struct replay_guest *guest, struct dap_listing *listing)
{
    uint64_t address = PVM_CODE_BASE;
    *listing = (struct dap_listing){0};
    buf_init(&listing->text, TEXT_SIZE_MAX);
    buf_init(&listing->lines, LINES_SIZE_MAX);
    if (strcmp(guest->ops->name, "pvm") != 0)
        return ERR_ok;
    for (;;) {
        struct dap_line line = {address, (uint32_t)listing->text.size};
        size_t start = listing->text.size;
        buf_printf(&listing->text, "@%" PRIu64 ":", address - PVM_CODE_BASE);
        while (listing->text.size < start + 8 && !listing->text.err)
            buf_text(&listing->text, " ");
        unsigned size = guest->ops->disassemble(guest->self, address, &listing->text);
        if (!size) {
            if (!listing->text.err)
                listing->text.size = line.text;
            break;
        }
        buf_text(&listing->text, "\n");
        buf_put(&listing->lines, &line, sizeof line);
        listing->count++;
        address += size;
    }
    return listing->text.err ? listing->text.err : listing->lines.err;
}

void dap_listing_free(struct dap_listing *listing)
{
    buf_fini(&listing->text);
    buf_fini(&listing->lines);
}

uint32_t dap_listing_line(const struct dap_listing *listing, uint64_t address)
{
    const struct dap_line *line = lines_of(listing);
    uint32_t low = 0, high = listing->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (line[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool dap_listing_address(const struct dap_listing *listing, uint32_t line,
                         uint64_t *ret_address)
{
    if (!line || line > listing->count)
        return false;
    *ret_address = lines_of(listing)[line - 1].address;
    return true;
}

struct bytes dap_listing_word(const struct dap_listing *listing, uint64_t address)
{
    uint32_t line = dap_listing_line(listing, address);
    if (!line || lines_of(listing)[line - 1].address != address)
        return bytes_of("", 0);
    const uint8_t *text = listing->text.data + lines_of(listing)[line - 1].text;
    const uint8_t *end = listing->text.data + listing->text.size;
    while (text < end && *text != ' ' && *text != '\n') /* "@12:" */
        text++;
    while (text < end && *text == ' ')
        text++;
    const uint8_t *word = text;
    while (text < end && *text != ' ' && *text != '\n')
        text++;
    return bytes_of(word, (size_t)(text - word));
}
