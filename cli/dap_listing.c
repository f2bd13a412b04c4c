/* SPDX-License-Identifier: MIT
 *
 * The disassembly as a source text: where there is no other, clients show this one and
 * set breakpoints in it (trace-replay.md 9.6).
 */
#include "cli/dap.h"

#include <inttypes.h>
#include <string.h>

enum { TEXT_SIZE_MAX = 1 << 28, LINES_SIZE_MAX = 1 << 28, PROGRAM_MAX = 100 };

static struct dap_line *lines_of(const struct dap_listing *listing)
{
    return (struct dap_line *)(void *)listing->lines.data;
}

/* One line; answers the size of the instruction, 0: there is none. */
static unsigned put_line(const struct replay_guest *guest, uint32_t program,
                         uint64_t address, struct dap_listing *listing)
{
    struct buf *text = &listing->text;
    struct dap_line line = {address, (uint32_t)text->size};
    if (program)
        buf_printf(text, "%" PRIu32, program);
    buf_printf(text, "@%" PRIu32 ":", (uint32_t)address);
    while (text->size < line.text + 8 && !text->err)
        buf_text(text, " ");
    unsigned size = guest->ops->disassemble(guest->self, address, text);
    if (!size) {
        if (!text->err)
            text->size = line.text;
        return 0;
    }
    buf_text(text, "\n");
    buf_put(&listing->lines, &line, sizeof line);
    listing->count++;
    return size;
}

/* A guest with several programs has them one behind the other. */
enum err dap_listing_make(const struct replay_guest *guest, struct dap_listing *listing)
{
    struct pvm_code code;
    enum pvm_profile profile;
    *listing = (struct dap_listing){0};
    buf_init(&listing->text, TEXT_SIZE_MAX);
    buf_init(&listing->lines, LINES_SIZE_MAX);
    uint32_t program = 0, count = guest->ops->program ? 1 : 0;
    while (guest->ops->code && count < PROGRAM_MAX &&
           guest->ops->code(guest->self, count, &code, &profile))
        count++;
    for (; program < count && !listing->text.err; program++) {
        uint64_t address = guest->ops->code_base * ((uint64_t)program + 1);
        unsigned size;
        while ((size = put_line(guest, program, address, listing)))
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
