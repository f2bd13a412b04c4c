/* SPDX-License-Identifier: MIT
 *
 * The guest's code as instructions.
 */
#include "cli/dap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DISASSEMBLE_MAX = 4096, TEXT_SIZE_MAX = 4096, INSTRUCTION_SIZE_MAX = 15 };
/* How far the beginning of a function is looked at, to go backwards in it. */
enum { FUNCTION_SIZE_MAX = 1 << 16 };

/* ---- one instruction ---- */

/* Where a jump or call leads, if it has a name. */
static void put_target(const struct dap *dap, const char *insn, struct buf *text)
{
    uint64_t target;
    const char *number = strstr(insn, " 0x");
    size_t before = text->size;
    if ((insn[0] != 'j' && strncmp(insn, "call ", 5) != 0) || !number ||
        !cli_number(number + 1, &target))
        return;
    buf_text(text, " <");
    if (dap_put_name(dap, target, false, text))
        buf_text(text, ">");
    else if (!text->err)
        text->size = before;
}

/* Of an i386, in protected mode: what code in real mode looks like is not known here.
 */
static unsigned put_i386(const struct dap *dap, uint64_t address, struct buf *text)
{
    uint8_t code[INSTRUCTION_SIZE_MAX];
    char insn[ANALYSIS_X86_TEXT_SIZE];
    const struct replay_guest *guest = &dap->debug.guest;
    unsigned cr0;
    if (!dap->x86 || !dap_register_named(dap, "cr0", &cr0) ||
        !(dap_register(dap, cr0) & 1))
        return 0;
    size_t there = guest->ops->memory_read(guest->self, address, code, sizeof code);
    size_t size = analysis_x86_next(dap->x86, bytes_of(code, there), address, insn);
    if (!size || insn[0] == '.')
        return 0;
    buf_text(text, insn);
    put_target(dap, insn, text);
    return (unsigned)size;
}

unsigned dap_instruction(const struct dap *dap, uint64_t address, struct buf *text)
{
    const struct replay_guest *guest = &dap->debug.guest;
    unsigned size = guest->ops->disassemble(guest->self, address, text);
    return size ? size : put_i386(dap, address, text);
}

/* ---- a list of them ---- */

static void put_symbol(const struct dap *dap, struct json_object *item,
                       uint64_t address)
{
    struct buf name;
    buf_init(&name, TEXT_SIZE_MAX);
    if (dap_put_name(dap, address, false, &name))
        dap_put_text(item, "symbol", buf_string(&name));
    buf_fini(&name);
}

static void add_none(struct json_object *list, uint64_t address)
{
    struct json_object *item = json_object_new_object();
    dap_put_address(item, "address", address);
    dap_put_text(item, "instruction", "??");
    dap_put_text(item, "presentationHint", "invalid");
    (void)json_object_array_add(list, item);
}

static void add_instruction(const struct dap *dap, struct json_object *list,
                            uint64_t address, unsigned *ret_size)
{
    struct buf text;
    buf_init(&text, TEXT_SIZE_MAX);
    unsigned size = dap_instruction(dap, address, &text);
    *ret_size = size ? size : 1;
    if (size) {
        struct json_object *item = json_object_new_object();
        uint32_t line = dap_listing_line(&dap->listing, address);
        dap_put_address(item, "address", address);
        dap_put_text(item, "instruction", buf_string(&text));
        put_symbol(dap, item, address);
        if (line) {
            (void)json_object_object_add(item, "location", dap_listing_source());
            dap_put_number(item, "line", line);
        }
        (void)json_object_array_add(list, item);
    } else {
        add_none(list, address);
    }
    buf_fini(&text);
}

/* The address up to `wanted` instructions before, in one function, which is decoded
 * from its beginning; 0: that leads nowhere.  *ret_count: so many. */
static uint64_t back_in_function(const struct dap *dap, uint64_t address,
                                 int64_t wanted, int64_t *ret_count)
{
    uint64_t at, begin[DISASSEMBLE_MAX];
    int64_t count = 0;
    if (!cli_linux_names_start(&dap->system, address - 1, &at) ||
        address - at > FUNCTION_SIZE_MAX)
        return 0;
    for (; at < address; count++) {
        struct buf text;
        buf_init(&text, TEXT_SIZE_MAX);
        unsigned size = dap_instruction(dap, at, &text);
        buf_fini(&text);
        begin[count % DISASSEMBLE_MAX] = at;
        at += size ? size : 1;
    }
    if (at != address) /* in the middle of one */
        return 0;
    *ret_count = wanted < count ? wanted : count;
    return begin[(count - *ret_count) % DISASSEMBLE_MAX];
}

/* Of an i386: *offset becomes what is in front of all that is known. */
static uint64_t move_address(const struct dap *dap, uint64_t address, int64_t *offset)
{
    while (*offset < 0) {
        int64_t count;
        uint64_t before = back_in_function(dap, address, -*offset, &count);
        if (!before)
            return address;
        address = before;
        *offset += count;
    }
    for (; *offset > 0; --*offset) {
        struct buf text;
        buf_init(&text, TEXT_SIZE_MAX);
        unsigned size = dap_instruction(dap, address, &text);
        buf_fini(&text);
        address += size ? size : 1;
    }
    return address;
}

/* Backwards only where the lines of the listing, or the function, say where
 * instructions begin. */
static uint64_t first_address(const struct dap *dap, uint64_t address, int64_t *offset)
{
    uint32_t line = dap_listing_line(&dap->listing, address);
    uint64_t first = address;
    if (!line && *offset >= -DISASSEMBLE_MAX && *offset <= DISASSEMBLE_MAX && dap->x86)
        return move_address(dap, address, offset);
    if (!line || !*offset)
        return address;
    int64_t at = (int64_t)line + *offset;
    if (at < 1) {
        *offset = at - 1; /* so many before the first */
        at = 1;
    } else {
        *offset = 0;
    }
    if (at > dap->listing.count)
        at = dap->listing.count;
    (void)dap_listing_address(&dap->listing, (uint32_t)at, &first);
    return first;
}

void dap_disassemble(struct dap_request *request)
{
    struct dap *dap = request->dap;
    uint64_t address;
    int64_t count = dap_number(request->arguments, "instructionCount", 0);
    int64_t offset = dap_number(request->arguments, "instructionOffset", 0);
    if (!dap_address(request->arguments, "memoryReference", &address)) {
        request->error = "memoryReference is no address";
        return;
    }
    if (count > DISASSEMBLE_MAX)
        count = DISASSEMBLE_MAX;
    struct json_object *list = json_object_new_array();
    dap_names_look(dap, false);
    address += (uint64_t)dap_number(request->arguments, "offset", 0);
    address = first_address(dap, address, &offset);
    for (int64_t k = 0; k < count; k++) {
        unsigned size = 0;
        /* The client wants so many, whether they exist or not. */
        if (offset < 0) {
            add_none(list, address + (uint64_t)offset);
            offset++;
            continue;
        }
        add_instruction(dap, list, address, &size);
        address += size;
    }
    request->body = json_object_new_object();
    (void)json_object_object_add(request->body, "instructions", list);
}
